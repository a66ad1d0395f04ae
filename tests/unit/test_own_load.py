"""Commands of the user's own that make calls themselves: what is heard and kept of them, what a file may say, and what is judged."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from harness.checkers import Assumptions, LoadServed
from harness.checkers.expected import Expected
from harness.conductor import permission, spelling
from harness.core import parameters
from harness.core.clock import SystemClock, wait_until
from harness.core.errors import BadInput, HarnessError, Unsupported
from harness.core.protocols import Action, Cluster, Fault
from harness.core.values import HERE, Finding, Outcome, Unavailable, Verdict
from harness.history.events import Answered, History, Invoked, Note
from harness.history.loads import MOST, SLOT, CountedCalls, Load, Tally, loads, tally
from harness.history.recorder import Recorder
from harness.modes.fleet import Fleet
from harness.nodes import children
from harness.plan import Plan, plan
from harness.reports.prose import describe
from harness.reports.timeline import Timeline
from harness.scenario import json_schema
from harness.scenario import loads as read
from harness.testing.bare import BareMode
from harness.testing.histories import Story, node_kill
from harness.testing.memory_provider import MemoryProvider
from harness.workloads import performing
from harness.workloads.driver import Ops
from harness.workloads.own_load import OwnLoad
from harness.workloads.performing import Performer
from tests.unit.sessions import in_memory

NAME = "TOKEN"

# ---------------------------------------------------------------- a line


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        (b'{"ok": 5, "failed": 1}', Tally(5, 1)),
        (b'  {"failed": 3, "p99": 0.2, "of": {"a": 1}}', Tally(0, 3)),
        (b'{"ok": 0}', Tally(0, 0)),
        (b'{"p99": 0.2}', None),
        (b"5 ok", None),
        (b'["ok", 5]', None),
        (b'{"ok": 5', None),
        (b"{" * 5000, None),
        (b"\xff\xfe", None),
        (b"", None),
    ],
)
def test_a_line_tells_of_calls_or_of_none(line: bytes, counts: Tally | None) -> None:
    """Whatever else it says."""
    assert tally(line) == counts


@pytest.mark.parametrize("said", ['"5"', "-1", "1.5", "true", "null", str(MOST + 1), "[5]"])
def test_a_count_is_a_whole_number(said: str) -> None:
    """A line that means to tell of calls and does not is none."""
    with pytest.raises(ValueError, match="expected whole numbers from 0"):
        tally(f'{{"ok": {said}}}'.encode())


# ---------------------------------------------------------------- a run of one


def performed(tmp_path: Path, workload: OwnLoad, until: Callable[[History], bool], nodes: Any = ()) -> History:
    """Return the history of a command that goes on until something is in it."""
    clock = SystemClock()
    cluster = Cluster("run-1", nodes, MemoryProvider(), BareMode(), clock)
    with Recorder(tmp_path / "history.jsonl", clock) as recorder:
        performer = Performer(workload, cluster, recorder, Ops(), tmp_path)
        performer.start()
        try:
            wait_until(lambda: until(History.load(recorder.path)), awaited="what it does", seconds=60.0, clock=clock, every=0.05)
        finally:
            performer.stop()
            performer.stop()
    return History.load(tmp_path / "history.jsonl")


def one(history: History) -> Load:
    """Return the only command of a history."""
    (load,) = loads(history).values()
    return load


def over(history: History) -> bool:
    """Whether it has ended."""
    return bool(loads(history)) and one(history).ended is not None


def test_what_waits_to_be_told_is_bounded_in_bytes(tmp_path: Path) -> None:
    """And not by the number of lines alone, each of which may be as long as anybody likes; all of a long one is counted, and little is kept."""
    clock = SystemClock()
    with Recorder(tmp_path / "history.jsonl", clock) as recorder:
        performer = Performer(OwnLoad("load", "x"), Cluster("run-1", (), MemoryProvider(), BareMode(), clock), recorder, Ops(), tmp_path)
        begun: Any = SimpleNamespace(lines=lambda: iter([b"x" * (1 << 20)] * 5))
        performer._read(begun)
        waiting = [performer._said.get() for _ in range(6)]
    assert waiting == [(b"x" * performing.LINE_BYTES, 1 << 20)] * 5 + [None]
    assert performing.WAITING * performing.LINE_BYTES <= 1 << 24


def test_a_value_that_is_no_count_is_not_repeated_whole() -> None:
    """It would stand in the history."""
    with pytest.raises(ValueError, match="whole numbers") as said:
        tally(json.dumps({"ok": "x" * 10_000}).encode())
    assert len(str(said.value)) < 300


def test_a_command_that_ends_is_heard_kept_and_never_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what it prints as errors; its secret is hidden."""
    monkeypatch.setenv(NAME, "hunter2")
    script = (
        f"""echo "begin $WHALEFALL_RUN ${NAME}"; echo '{{"ok": 4, "failed": 1}}'; sleep 0.6; echo '{{"failed": 2}}'; echo bye >&2; exit 3"""
    )
    load = one(performed(tmp_path, OwnLoad("load", script, secret=NAME), over))
    assert [each.tally for each in load.pieces] == [Tally(4, 1), Tally(0, 2)]
    assert load.pieces[0].end <= load.pieces[1].start < load.pieces[1].end
    assert (load.status, load.itself) == (3, True)
    kept = tmp_path / "commands" / "load.log"
    assert kept.read_text() == 'begin run-1 ***\n{"ok": 4, "failed": 1}\n{"failed": 2}\nbye\n'
    assert kept.stat().st_mode & 0o777 == 0o600


def test_one_that_goes_on_is_ended_with_the_run_and_may_say_its_last_words(tmp_path: Path) -> None:
    """Those count; how it ended is our doing then."""
    script = """trap 'echo "{\\"ok\\": 7}"; exit 5' TERM; echo '{"ok": 1}'; while :; do sleep 0.02; done"""
    load = one(performed(tmp_path, OwnLoad("load", script), lambda history: any(each.pieces for each in loads(history).values())))
    assert [each.tally for each in load.pieces] == [Tally(1, 0), Tally(7, 0)]
    assert (load.status, load.itself) == (None, False)
    assert load.ended is not None


def test_lines_that_come_together_are_told_as_one(tmp_path: Path) -> None:
    """A program that gathers its lines says nothing of when each was meant for; and a line a call fills no history."""
    script = """for n in 1 2 3 4 5 6 7 8; do echo '{"failed": 1}'; done; echo '{"ok": 1}'"""
    load = one(performed(tmp_path, OwnLoad("load", script), over))
    assert [each.tally for each in load.pieces] == [Tally(1, 8)]


@pytest.mark.parametrize(
    ("script", "saying"), [("kill -9 $$", (137, True)), ("no-such-program", (127, True)), ("kill -9 $PPID; sleep 5", (None, False))]
)
def test_how_one_ended_is_its_shells_word(tmp_path: Path, script: str, saying: tuple[int | None, bool]) -> None:
    """Of one whose shell was killed as well nobody knows."""
    load = one(performed(tmp_path, OwnLoad("load", script), over))
    assert (load.status, load.itself) == saying


def test_one_that_cannot_be_begun_has_ended_and_costs_no_run(tmp_path: Path) -> None:
    """On a node that is not there, or that runs nothing that goes on."""
    load = one(performed(tmp_path, OwnLoad("load", "true", on="n9"), over))
    assert (load.status, load.itself, load.pieces) == (None, False, ())


def test_what_one_says_is_kept_with_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its beginning, and its end: a sum stands there."""
    monkeypatch.setattr(performing, "KEPT_BYTES", 100)
    monkeypatch.setattr(performing, "LAST_BYTES", 20)
    monkeypatch.setattr(performing, "LINE_BYTES", 40)
    script = (
        """n=0; while [ $n -lt 40 ]; do echo "line $n"; n=$((n+1)); done; head -c 100000 /dev/zero | tr '\\\\0' x; echo; echo the sum"""
    )
    performed(tmp_path, OwnLoad("load", script), over)
    lines = (tmp_path / "commands" / "load.log").read_text().splitlines()
    assert lines[0] == "line 0"
    assert any(line.startswith("[") and line.endswith("bytes were not kept]") for line in lines)
    assert lines[-1] == "the sum"
    assert (tmp_path / "commands" / "load.log").stat().st_size < 300


def test_a_line_that_is_too_long_tells_of_no_calls_however_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of it may be all that it meant to say, or not."""
    monkeypatch.setattr(performing, "LINE_BYTES", 40)
    script = """printf '{"ok": 7}%60s\\n' ''; printf '{"ok": 5}%30s\\n' ''"""
    assert [each.tally for each in one(performed(tmp_path, OwnLoad("load", script), over)).pieces] == [Tally(5, 0)]


def test_a_line_without_an_end_is_named_as_what_ends_the_hearing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody killed it, and its node answers: whoever looks for its end must be told where to look."""
    monkeypatch.setattr(children, "LONGEST_LINE", 100)
    history = performed(tmp_path, OwnLoad("load", "while :; do printf 0; done"), over)
    (error,) = [event.error for _, event in history.each(Answered) if event.error.startswith("its end was not seen")]
    assert "said a line of more than 1 MiB" in error


def test_what_one_says_is_kept_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a line has no room at the beginning, none that comes later has."""
    monkeypatch.setattr(performing, "KEPT_BYTES", 10)
    kept = performing._Kept(tmp_path / "load.log", pytest.fail)
    for said in (b"aaaa", b"bbbbbbbb", b"c"):
        kept.add(said, len(said))
    kept.close()
    assert (tmp_path / "load.log").read_bytes() == b"aaaa\nbbbbbbbb\nc\n"


def test_a_line_that_tells_of_no_calls_is_told_once(tmp_path: Path) -> None:
    """A slip in the program must not look like a cluster that nobody called."""
    script = """echo '{"ok": "5"}'; echo '{"ok": "6"}'"""
    history = performed(tmp_path, OwnLoad("load", script), over)
    assert [event.text for _, event in history.each(Note)] == [
        f"load: a line that tells of no calls: found ok '5' and failed 0, expected whole numbers from 0 to {MOST}"
    ]


def test_what_cannot_be_kept_is_told_and_goes_on(tmp_path: Path) -> None:
    """A full disk is no end of a run."""
    (tmp_path / "commands").touch()
    history = performed(tmp_path, OwnLoad("load", """echo '{"ok": 5}'"""), over)
    assert one(history).pieces[0].tally == Tally(5, 0)
    assert ["load: what it says is not kept" in event.text for _, event in history.each(Note)] == [True]


# ---------------------------------------------------------------- a file


HEAD = "scenario: x\nwhy: y\napps: [{name: web, instances: 2}]\nsteps: [{fault: node.kill, on: n3, hold: 9s}]\n"
GOOD = """workloads:
  - command: {name: load, run: k6 run /srv/load.js}
  - command: {name: inside, run: ./load, on: n2, secret: TOKEN}
promises: [command: {name: load, share: 99%, gap: 5s, status: 0}]
"""
WRONG: dict[str, tuple[str, list[str]]] = {
    "no command": ("workloads: [command: {name: a}]\npromises: [conflicts]\n", ["'run' is missing"]),
    "nothing in it": (
        "workloads: [command: {name: a, run: ' '}]\npromises: [conflicts]\n",
        ["s.yaml:5:37: ' '; expected a command for a shell"],
    ),
    "no such node": (
        "workloads: [command: {name: a, run: x, on: n9}]\npromises: [conflicts]\n",
        ["s.yaml:5:44: the node 'n9'; expected a node's name, n1 to n3, or here"],
    ),
    "one name twice": (
        "workloads:\n  - command: {name: a, run: x}\n  - command: {name: a, run: y}\npromises: [conflicts]\n",
        ["s.yaml:7:21: a second command named 'a'; expected a name of its own for each command; the first is in line 6"],
    ),
    "one name twice, of which the first cannot be read": (
        "workloads:\n  - command: {name: a, run: ' '}\n  - command: {name: a, run: y}\npromises: [conflicts]\n",
        [
            "' '; expected a command",
            "s.yaml:7:21: a second command named 'a'; expected a name of its own for each command; the first is in line 6",
        ],
    ),
    "a promise of none": (
        "workloads: [command: {name: load, run: x}]\npromises: [command: {name: laod, share: 99%}]\n",
        ["s.yaml:6:12: a promise of the command 'laod', which nobody runs; expected the name of a command: load"],
    ),
    "a promise of nothing": (
        "workloads: [command: {name: load, run: x}]\npromises: [command: {name: load}]\n",
        ["found a promise of nothing; expected share, gap or status, or several of them"],
    ),
    "several at once": (
        "workloads: [command: {name: A, run: x, on: '', scret: y}]\npromises: [command: {name: load, share: 3, gap: 0x, status: 256}]\n",
        ["'A'; expected a name of lower-case letters", "''; expected here", "'scret'", "3;", "'0x'", "256;"],
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_with_commands_is_told_at_once_with_its_place(kind: str) -> None:
    """Before anything is made."""
    text, expected = WRONG[kind]
    with pytest.raises(BadInput) as caught:
        read(HEAD + text, "s.yaml")
    told = [str(each) for each in caught.value.problems]
    assert [each for each in expected if not any(each in line for line in told)] == [], told
    assert len(told) == len(expected), told


def test_a_command_and_a_probe_may_have_one_name() -> None:
    """They have lines of their own, and promises."""
    text = "workloads: [command: {name: a, run: x}]\nprobes: [{name: a, on: n1, command: x}]\npromises: [conflicts]\n"
    assert [each.name for each in read(HEAD + text, "s.yaml").workloads] == ["command", "probe"]


def test_a_plan_has_it_and_says_where_it_runs() -> None:
    """And is read again as it was."""
    made = plan(read(HEAD + GOOD, "s.yaml"), mode=Fleet(), provider="nspawn", seed=1)
    assert made.workloads == (OwnLoad("load", "k6 run /srv/load.js"), OwnLoad("inside", "./load", "n2", "TOKEN"))
    assert Plan.from_json(made.to_json()).workloads == made.workloads
    assert made.expected.workloads == (("command", "load"), ("command", "inside"))
    assert made.expected.called == ()
    said = describe(made)
    assert 'workload  command name=load run="k6 run /srv/load.js" on=here' in said
    assert "what runs on this machine has all the rights of whoever runs whalefall" in said
    assert any("command" in each.get("properties", {}) for each in json_schema()["properties"]["workloads"]["items"]["oneOf"])
    names = parameters.names(OwnLoad)
    assert {"name", "run", "on", "secret"} == {*names}


def test_a_scenario_in_python_is_told_what_a_file_is() -> None:
    """Of nodes and names, and of a promise of nobody."""
    twice = [OwnLoad("load", "x", "n9"), OwnLoad("load", "x")]
    with pytest.raises(BadInput) as caught:
        spelling.must_be_workloads(twice, ["web"], ["n1", "n2"])
    assert [str(each) for each in caught.value.problems] == [
        "the command load: the node 'n9'; expected a node's name, n1 to n2, or here",
        "the command load: a second command named 'load'; expected a name of its own for each command",
    ]
    with pytest.raises(BadInput, match="a promise of the command 'other', which nobody runs"):
        spelling.must_be_promises([LoadServed("other", 0.9)], ["web"], twice)


class Refusing(MemoryProvider):
    """A provider with a node whose owner allows no command."""

    def refusal(self, run_id: str, node: str, what: Fault | Action) -> Unavailable | None:
        """Refuse it there."""
        return Unavailable(f"{node} of {run_id} allows no {what.name}", "it in the mark") if node == "n3" else None


@pytest.mark.parametrize("on", [HERE, "n1"])
def test_what_it_runs_must_be_allowed_and_its_secret_be_there(tmp_path: Path, on: str) -> None:
    """As of any command, before anything is made."""
    with in_memory(tmp_path) as session:
        session.cluster.provider = Refusing()
        made = dataclasses.replace(session.plan, workloads=(OwnLoad("load", "true", on, NAME),))
        with pytest.raises(Unsupported, match="n3 of run-1 allows no command"):
            permission.must_be_possible(made, session.cluster)
        with pytest.raises(BadInput, match=f"the variable {NAME} of the environment"):
            permission.must_be_at_hand(made)


def test_nobody_makes_its_calls() -> None:
    """It does."""
    with pytest.raises(HarnessError, match="makes its calls itself"):
        OwnLoad("load", "true").connect(Cluster("run-1", (), MemoryProvider(), BareMode()))


# ---------------------------------------------------------------- what is judged


Counts = Callable[[float], tuple[int, int] | None]


def told(counts: Counts, *, every: float = 1.0, start: float = 2.0, end: float = 75.0, status: int | None = None) -> History:
    """Return the good run, with a command that tells so often how its calls went. A node is off from 10 s to 50 s; all is judged until 70 s."""
    return node_kill().endures(recovery=16.5).load(start, end, "load", counts, every=every, status=status).history()


def but(start: float, end: float, then: tuple[int, int] | None, otherwise: tuple[int, int] = (10, 0)) -> Counts:
    """Return what is told: one thing in a time, and another at all others."""
    return lambda time: then if start < time <= end else otherwise


def without(history: History, time: float) -> History:
    """Return a history in which what a command told at that time, or next, is missing."""
    of = {event.op for _, event in history.each(Invoked) if event.workload == "command"}
    entry = next(entry for entry, event in history.each(Answered) if entry.time >= time and event.op in of)
    return History([each for each in history.entries if each is not entry])


def lines(*said: tuple[float, float, int, int], bad: float = 0.0, status: int | None = None) -> Story:
    """Return the good run, with a command that tells these lines, each of the calls from when to when; then each second until 60 s, when it ends.

    For so many seconds none of those goes well.
    """
    begun = said[-1][1]
    later = [(begun + n, begun + n + 1.0, Tally(0, 10) if n < bad else Tally(10, 0)) for n in range(int(60.0 - begun))]
    story = node_kill().endures(recovery=16.5, beats="n1 n2 n3")
    return story.told_by(
        "load", 2.0, 60.0, [*((early, late, Tally(ok, failed)) for early, late, ok, failed in said), *later], status=status
    )


def good(_: float) -> tuple[int, int]:
    """Ten calls went well."""
    return 10, 0


ALL = LoadServed("load", 0.9, 5.0)
JUDGED: dict[str, tuple[LoadServed, Callable[[], History], Verdict, str]] = {
    "all went well": (ALL, lambda: told(good), Verdict.HELD, "100.0% of"),
    "none for four seconds": (
        LoadServed("load", gap=7.0),
        lambda: told(but(20, 24, (0, 10))),
        Verdict.HELD,
        "told of no good call for 6.2",
    ),
    "none for eight seconds": (ALL, lambda: told(but(20, 28, (0, 10))), Verdict.BROKEN, "no call of the command load went well for 7.5 s"),
    "none for about as long as is allowed": (
        ALL,
        lambda: told(but(20, 25, (0, 10))),
        Verdict.UNKNOWN,
        "its lines are too far apart to tell",
    ),
    "a silence": (ALL, lambda: told(but(20, 28, None)), Verdict.UNKNOWN, "none of that is sure"),
    "a line that is missing": (
        LoadServed("load", gap=5.0),
        lambda: without(told(but(20, 28, (0, 10))), 24.5),
        Verdict.UNKNOWN,
        "answers of 1 call are missing",
    ),
    "a line of before that is missing": (
        LoadServed("load", gap=5.0),
        lambda: without(told(but(20, 28, (0, 10))), 8.5),
        Verdict.UNKNOWN,
        "answers of 1 call are missing, which may have been good before the first fault",
    ),
    "no calls for a while": (ALL, lambda: told(but(20, 28, (0, 0))), Verdict.UNKNOWN, "none of that is sure"),
    "none, with a silence in it": (
        LoadServed("load", gap=5.0),
        lambda: told(lambda time: (0, 0) if 23 < time <= 24 else (0, 10) if 20 < time <= 28 else (10, 0)),
        Verdict.UNKNOWN,
        "surely",
    ),
    "lines too far apart": (ALL, lambda: told(good, every=4.0), Verdict.UNKNOWN, "its lines are too far apart to tell"),
    "a fifth failed": (LoadServed("load", 0.9), lambda: told(but(10, 80, (8, 2))), Verdict.BROKEN, "80.0% of"),
    "fewer than is told with one digit": (
        LoadServed("load", 0.9995),
        lambda: told(but(10, 80, (9994, 6), (10_000, 0))),
        Verdict.BROKEN,
        "(promised 99.95%)",
    ),
    "a fifth failed, which is allowed": (LoadServed("load", 0.7), lambda: told(but(10, 80, (8, 2))), Verdict.HELD, "80.0% of"),
    "too few calls": (
        LoadServed("load", 0.9),
        lambda: told(lambda time: (1, 0) if time % 8 == 0 else None),
        Verdict.UNKNOWN,
        "20 calls are needed",
    ),
    "what was told over the edge may have turned it": (
        LoadServed("load", 0.9),
        lambda: told(lambda time: (1000, 0) if time == 12 else (8, 2), every=5.0),
        Verdict.UNKNOWN,
        "it is not known whether they count",
    ),
    "silent, where calls were due that would have turned it": (
        LoadServed("load", 0.9),
        lambda: told(lambda time: (10, 0) if time <= 14 else None),
        Verdict.UNKNOWN,
        "some 5",
    ),
    "no calls, where some were due that would have turned it": (
        LoadServed("load", 0.9),
        lambda: told(but(14, 66, (0, 0))),
        Verdict.UNKNOWN,
        "that were due",
    ),
    "one line for a long time, in which more calls were due": (
        LoadServed("load", 0.9),
        lambda: told(lambda time: (10, 0) if time <= 14 or time > 66 else None),
        Verdict.UNKNOWN,
        "that were due",
    ),
    "silent for a while that turns nothing": (LoadServed("load", 0.6), lambda: told(but(20, 40, None)), Verdict.HELD, "100.0% of"),
    "slower, and told of all along": (LoadServed("load", 0.9), lambda: told(but(20, 60, (1, 0))), Verdict.HELD, "100.0% of"),
    "silent, and bad enough without that": (
        LoadServed("load", 0.9),
        lambda: told(lambda time: None if 20 < time <= 30 else (0, 10) if 30 < time <= 60 else (10, 0)),
        Verdict.BROKEN,
        "calls of the command load went well",
    ),
    "no better before": (
        LoadServed("load", 0.9),
        lambda: told(lambda time: (8, 2) if time > 10 else (5, 5)),
        Verdict.UNKNOWN,
        "of 80 calls from 1.0 s to 10.0 s, before the first fault was made, 50.0% went well",
    ),
    "better before": (LoadServed("load", 0.9), lambda: told(lambda time: (8, 2) if time > 10 else (19, 1)), Verdict.BROKEN, "80.0% of"),
    "no better before, and kept since": (LoadServed("load", 0.9), lambda: told(but(2, 10, (5, 5))), Verdict.HELD, "100.0% of"),
    "one call in a line that failed": (
        LoadServed("load", gap=5.0),
        lambda: told(but(34, 42, (0, 1), (1, 0)), every=8.0),
        Verdict.UNKNOWN,
        "none of that is sure",
    ),
    "many calls in a line that failed": (
        LoadServed("load", gap=5.0),
        lambda: told(but(34, 42, (0, 80), (80, 0)), every=8.0),
        Verdict.BROKEN,
        "went well for 7.5 s",
    ),
    "bad while this machine could make no calls": (
        ALL,
        lambda: (
            lines(*((2.0 + n, 3.0 + n, *((0, 10) if 18 <= n < 38 else (10, 0))) for n in range(50)))
            .gets(20.0, 40.0, "web@9", Outcome.FAIL, ours=True)
            .history()
        ),
        Verdict.UNKNOWN,
        "it is not known whether they count",
    ),
    "bad when it had been so": (
        ALL,
        lambda: (
            lines(*((2.0 + n, 3.0 + n, *((0, 10) if 18 <= n < 38 else (10, 0))) for n in range(50)))
            .gets(2.0, 10.0, "web@9", Outcome.FAIL, ours=True)
            .history()
        ),
        Verdict.BROKEN,
        "no call of the command load went well for 19.5 s",
    ),
    "another status of one that could make no calls": (
        LoadServed("load", status=0),
        lambda: lines((2, 9.5, 75, 0), status=99).gets(20.0, 22.0, "web@9", Outcome.FAIL, ours=True).history(),
        Verdict.UNKNOWN,
        "this machine could make no calls at 20.0 s",
    ),
    "bad over a stall of ours": (
        LoadServed("load", 0.7),
        lambda: (
            lines(*((2.0 + n, 3.0 + n, *((10, 0) if n < 8 else (0, 10))) for n in range(18)), (20, 35, 0, 150))
            .stalled(20.0, 35.0, "harness")
            .history()
        ),
        Verdict.UNKNOWN,
        "it is not known whether they count",
    ),
    "bad without that": (
        LoadServed("load", 0.9),
        lambda: (
            lines(*((2.0 + n, 3.0 + n, *((10, 0) if n < 8 else (0, 10))) for n in range(18)), (20, 35, 150, 0))
            .stalled(20.0, 35.0, "harness")
            .history()
        ),
        Verdict.BROKEN,
        "calls of the command load went well",
    ),
    "never begun": (ALL, lambda: node_kill().history(), Verdict.UNKNOWN, "was never begun"),
    "nothing before": (ALL, lambda: told(good, start=12.0), Verdict.UNKNOWN, "told of no calls before the first fault"),
    "none over the decision, as before": (
        LoadServed("load", gap=5.0),
        lambda: lines((2, 3, 10, 0), (3, 10.5, 0, 75), bad=10).history(),
        Verdict.UNKNOWN,
        "no call of the command load went well just before the first fault",
    ),
    "none over the decision, as after": (
        LoadServed("load", gap=5.0),
        lambda: lines((2, 9.5, 75, 0), (9.5, 10.5, 0, 1), bad=10).history(),
        Verdict.BROKEN,
        "went well for 9.6 s",
    ),
    "none was made for long before": (
        LoadServed("load", gap=5.0),
        lambda: lines((2, 3, 10, 0), (3, 10.5, 0, 0), bad=10).history(),
        Verdict.UNKNOWN,
        "told of no good call from 3.0 s until the first fault",
    ),
    "bad already before": (ALL, lambda: told(but(5, 28, (0, 10))), Verdict.UNKNOWN, "then it shows nothing of it"),
    "ended before it was mended": (ALL, lambda: told(good, end=40.0, status=0), Verdict.UNKNOWN, "before the last fault was mended"),
    "ended after that": (ALL, lambda: told(good, end=60.0, status=0), Verdict.HELD, "100.0% of"),
    "ended badly after that": (ALL, lambda: told(good, end=60.0, status=2), Verdict.UNKNOWN, "it failed by itself"),
    "broken, and ended early": (ALL, lambda: told(but(20, 28, (0, 10)), end=40.0, status=0), Verdict.BROKEN, "went well for 7.5 s"),
    "the status that was promised": (
        LoadServed("load", status=0),
        lambda: told(good, end=60.0, status=0),
        Verdict.HELD,
        "ended with status 0",
    ),
    "another status": (
        LoadServed("load", status=0),
        lambda: told(good, end=60.0, status=99),
        Verdict.BROKEN,
        "status 99 at 60.0 s, 0 was promised",
    ),
    "another status, for what was before": (
        LoadServed("load", status=0),
        lambda: told(but(3, 8, (9, 1)), end=60.0, status=99),
        Verdict.UNKNOWN,
        "calls of the command load failed, or may have, before the first fault",
    ),
    "another status, for what was after": (
        LoadServed("load", status=0),
        lambda: told(but(20, 28, (9, 1)), end=60.0, status=99),
        Verdict.BROKEN,
        "0 was promised",
    ),
    "another status, for what was before or after": (
        LoadServed("load", status=0),
        lambda: lines((2, 6, 40, 0), (6, 14, 40, 40), status=99).history(),
        Verdict.UNKNOWN,
        "failed, or may have, before the first fault",
    ),
    "another status, for what was just before or after": (
        LoadServed("load", status=0),
        lambda: lines((2, 9.5, 75, 0), (9.5, 10.5, 5, 5), status=99).history(),
        Verdict.BROKEN,
        "0 was promised",
    ),
    "another status, and nothing was told": (
        LoadServed("load", status=0),
        lambda: told(lambda _: None, end=60.0, status=99),
        Verdict.UNKNOWN,
        "told of no calls before the first fault",
    ),
    "another status of a machine with too much to do": (
        LoadServed("load", status=0),
        lambda: lines((2, 9.5, 75, 0), status=99).pressed(8.0, 60.0, 40.0).history(),
        Verdict.UNKNOWN,
        "this machine was too busy then",
    ),
    "another status of a machine with enough to do": (
        LoadServed("load", status=0),
        lambda: lines((2, 9.5, 75, 0), status=99).pressed(8.0, 60.0, 2.2).history(),
        Verdict.BROKEN,
        "0 was promised",
    ),
    "another status of one that stood still for a moment": (
        LoadServed("load", status=0),
        lambda: lines((2, 9.5, 75, 0), status=99).stalled(20.0, 20.9, "machine").history(),
        Verdict.UNKNOWN,
        "the whole machine stood still for 0.90 s",
    ),
    "the status that was promised, too early": (
        LoadServed("load", status=0),
        lambda: told(good, end=12.0, status=0),
        Verdict.UNKNOWN,
        "before the last fault was mended",
    ),
    "killed": (LoadServed("load", status=0), lambda: told(good, end=60.0, status=137), Verdict.UNKNOWN, "could not be run, or was killed"),
    "not there": (LoadServed("load", status=0), lambda: told(lambda _: None, end=12.0, status=127), Verdict.UNKNOWN, "could not be run"),
    "ended before the fault": (
        LoadServed("load", status=0),
        lambda: told(good, end=8.0, status=1),
        Verdict.UNKNOWN,
        "before the first fault bit",
    ),
    "silent since it was asked to end": (
        LoadServed("load", gap=3.0),
        lambda: told(lambda time: (10, 0) if time < 66 else None, end=69.0),
        Verdict.HELD,
        "told of no good call for 2.2 s at most",
    ),
    "silent for long before that": (
        LoadServed("load", gap=3.0),
        lambda: told(lambda time: (10, 0) if time < 62 else None, end=69.0),
        Verdict.UNKNOWN,
        "none of that is sure",
    ),
    "ended with the run": (LoadServed("load", status=0), lambda: told(good), Verdict.UNKNOWN, "its status is not its own"),
}


@pytest.mark.parametrize("kind", JUDGED)
def test_a_promise_of_a_command_goes_by_what_it_told(kind: str) -> None:
    """Silence of it, or its end, convicts nobody, and acquits nobody."""
    promise, history, verdict, words = JUDGED[kind]
    finding = promise.check(history())
    assert finding.verdict is verdict, finding.summary
    assert words in finding.summary


def made_up(seed: int) -> tuple[list[tuple[float, bool]], list[CountedCalls]]:
    """Return calls, each with its time and whether it went well, and what a driver told of them: a program may gather its lines, and tell seldom."""
    rng = Random(seed)  # noqa: S311 - a run that can be made again
    calls: list[tuple[float, bool]] = []
    lines: list[tuple[float, Tally]] = []
    time, share, until, tell, every, held = 0.0, 1.0, 12.0, 1.0, rng.choice([0.4, 1.0, 2.5]), 1
    counts, waiting = Tally(), list[Tally]()
    while time < END:
        time += rng.expovariate(1 / rng.choice([0.05, 0.1, 0.4]))
        if time > until:  # now and then all calls fail for a while
            share, until = (0.0, time + rng.uniform(1.0, 9.0)) if share else (rng.choice([0.5, 1.0]), time + rng.uniform(2.0, 15.0))
        good = rng.random() < share
        calls.append((time, good))
        counts += Tally(1, 0) if good else Tally(0, 1)
        if time >= tell:
            tell, waiting, counts = time + every, [*waiting, counts], Tally()
            held -= 1
            if held <= 0:
                held = rng.choice([1, 1, 1, 6])
                lines += [(time + rng.uniform(0.0, 0.05), each) for each in waiting]
                waiting = []
    pieces: list[CountedCalls] = []
    before = 0.0
    while lines:
        slot = lines[0][0] + SLOT
        together = [each for at, each in lines if at <= slot]
        lines = [each for each in lines if each[0] > slot]
        pieces.append(CountedCalls(before, slot, sum(together[1:], together[0]), 0))
        before = slot
    return calls, pieces


END = 75.0
CUT = Expected(named=(("cut", (1,)),))
"""The good run's fault has a name."""


def windowed(name: str, promise: LoadServed, history: History, expected: Expected = CUT) -> Finding:
    """Return what is found in the time of its fault, or outside of it."""
    part: dict[str, Any] = {name: ("cut",)}
    return dataclasses.replace(promise, expected=expected, **part).check(history)


WINDOWED: dict[str, tuple[str, LoadServed, Counts, Verdict, str]] = {
    "all went well": ("during", ALL, good, Verdict.HELD, "100.0% of"),
    "bad outside": ("during", ALL, but(53, 64, (0, 10)), Verdict.HELD, "while cut was in force"),
    "bad in it": ("during", ALL, but(20, 28, (0, 10)), Verdict.BROKEN, "went well for 7.5 s from 20.1 s while cut was in force"),
    "few went well in it": ("during", LoadServed("load", 0.9), but(12, 48, (5, 5)), Verdict.BROKEN, "while cut was in force"),
    "bad in it, outside": ("outside", ALL, but(20, 28, (0, 10)), Verdict.HELD, "while cut was not there"),
    "bad after it": ("outside", ALL, but(53, 64, (0, 10)), Verdict.BROKEN, "went well for"),
    "bad in it to its end, and allowed": (
        "during",
        LoadServed("load", gap=45.0),
        but(30, 62, (0, 10)),
        Verdict.UNKNOWN,
        "would have to be in force",
    ),
    "silent in it to its end, and allowed": (
        "during",
        LoadServed("load", gap=45.0),
        but(30, 62, None),
        Verdict.UNKNOWN,
        "would have to be in force",
    ),
    "well at its end, and allowed": ("during", LoadServed("load", gap=45.0), but(20, 40, (0, 10)), Verdict.HELD, ""),
    "a silence in it": ("during", ALL, but(20, 28, None), Verdict.UNKNOWN, "none of that is sure"),
    "bad already before": ("during", ALL, but(5, 28, (0, 10)), Verdict.UNKNOWN, "then it shows nothing of it"),
    "over its edge": (
        "during",
        LoadServed("load", 0.9),
        lambda time: (1000, 0) if 50 < time < 55 else (85, 15) if time > 9 else (10, 0),
        Verdict.UNKNOWN,
        "it is not known whether they count",
    ),
}


@pytest.mark.parametrize("kind", WINDOWED)
def test_a_promise_of_a_command_may_be_about_the_time_of_a_fault(kind: str) -> None:
    """What was told of any other time convicts nobody there, and acquits nobody."""
    name, promise, counts, verdict, words = WINDOWED[kind]
    finding = windowed(name, promise, told(counts, every=4.0 if kind == "over its edge" else 1.0))
    assert (finding.verdict, words in finding.summary) == (verdict, True), finding.summary


@pytest.mark.parametrize(("end", "verdict"), [(40.0, Verdict.UNKNOWN), (60.0, Verdict.HELD)])
def test_a_command_must_run_for_as_long_as_the_fault_whose_time_is_judged(end: float, verdict: Verdict) -> None:
    """What comes after that is not asked: nor how it ended then."""
    finding = windowed("during", ALL, told(good, end=end, status=3))
    assert (finding.verdict, "of what came then it told nothing" in finding.summary) == (verdict, verdict is Verdict.UNKNOWN), (
        finding.summary
    )


def test_a_fault_that_was_never_made_has_no_time_in_which_calls_could_go_well() -> None:
    """Nor has one that nobody knows."""
    for expected in (Expected(), Expected(named=(("cut", (7,)),))):
        for name in ("during", "outside"):
            finding = windowed(name, ALL, told(good), expected)
            assert finding.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(("gap", "verdict"), [(6.2, Verdict.UNKNOWN), (6.3, Verdict.HELD)])
def test_a_line_may_have_begun_before_it_was_heard_of(gap: float, verdict: Verdict) -> None:
    """None goes well from 20 s to 24 s: from a quarter of a second before 19 s, when a good line began, to the end of the next one."""
    finding = LoadServed("load", gap=gap).check(told(but(20, 24, (0, 10))))
    assert finding.verdict is verdict, finding.summary


def test_how_a_command_ends_is_not_about_a_part_of_a_run() -> None:
    """It ends once."""
    for part in ({"during": ("cut",)}, {"outside": ("cut",)}):
        with pytest.raises(ValueError, match="found status beside during or outside"):
            LoadServed("load", 0.9, status=0, **part)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["during", "outside"])
@pytest.mark.parametrize("seeds", range(4))
def test_whatever_is_told_of_the_time_of_a_fault_nobody_is_wronged(seeds: int, name: str) -> None:
    """By the calls themselves, those in that time alone."""
    sure = 0
    for seed in range(seeds * 20, seeds * 20 + 20):
        calls, pieces = made_up(seed)
        story = node_kill().endures(recovery=16.5)
        history = story.told_by("load", 0.0, END, [(each.start, each.end, each.tally) for each in pieces]).history()
        details: Any = windowed(name, LoadServed("load", gap=1.0), history).details
        times = [(float(each["from"]), float(each["to"])) for each in details["pieces"]]
        edges = [[early, *(time for time, good in calls if good and early <= time <= late), late] for early, late in times]
        truth = max(later - sooner for each in edges for sooner, later in itertools.pairwise(each))
        for allowed in (2.0, 4.0, 6.0, 8.0):
            verdict = windowed(name, LoadServed("load", gap=allowed), history).verdict
            assert verdict is not (Verdict.BROKEN if truth <= allowed else Verdict.HELD), (seed, allowed, truth)
            sure += verdict is not Verdict.UNKNOWN
        inside = [good for time, good in calls if any(early <= time <= late for early, late in times)]
        share = sum(inside) / len(inside)
        for promised in (share - 0.1, share + 0.1):
            verdict = windowed(name, LoadServed("load", share=min(1.0, max(0.0, promised))), history).verdict
            assert verdict is not (Verdict.BROKEN if promised < share else Verdict.HELD), (seed, promised, share)
            sure += verdict is not Verdict.UNKNOWN
    assert sure > 20 * 6 // 12, "a promise of which nobody can ever tell is worth nothing"


@pytest.mark.parametrize("seeds", range(10))
def test_whatever_calls_are_made_and_however_they_are_told_nobody_is_wronged(seeds: int) -> None:
    """A gap that was too long is never held, and one that was not is never broken; and most are told."""
    sure = 0
    for seed in range(seeds * 20, seeds * 20 + 20):
        calls, pieces = made_up(seed)
        story = node_kill().endures(recovery=16.5)
        history = story.told_by("load", 0.0, END, [(each.start, each.end, each.tally) for each in pieces]).history()
        goods = [time for time, good in calls if good]
        details: Any = LoadServed("load", gap=1.0).check(history).details
        window = (float(details["from"]), float(details["to"]))
        edges = [max(time for time in goods if time < window[0]), *(time for time in goods if window[0] <= time <= window[1]), window[1]]
        truth = max(late - early for early, late in itertools.pairwise(edges))
        for allowed in (2.0, 4.0, 6.0, 8.0):
            verdict = LoadServed("load", gap=allowed).check(history).verdict
            assert verdict is not (Verdict.BROKEN if truth <= allowed else Verdict.HELD), (seed, allowed, truth)
            sure += verdict is not Verdict.UNKNOWN
        inside = [good for time, good in calls if window[0] <= time <= window[1]]
        share = sum(inside) / len(inside)
        for promised in (share - 0.1, share + 0.1):
            verdict = LoadServed("load", share=min(1.0, max(0.0, promised))).check(history).verdict
            assert verdict is not (Verdict.BROKEN if promised < share else Verdict.HELD), (seed, promised, share)
            sure += verdict is not Verdict.UNKNOWN
    assert sure > 20 * 6 // 4, "a promise of which nobody can ever tell is worth nothing"


def test_what_a_history_that_was_cut_off_shows_acquits_nobody() -> None:
    """What was seen by then convicts all the same, where it is sure."""
    whole = told(but(20, 28, (0, 10)))
    numbers = {event.op: number for number, (_, event) in enumerate(whole.each(Invoked), 1)}  # as a run would have given them
    entries = [
        dataclasses.replace(each, event=dataclasses.replace(each.event, op=numbers[each.event.op]))
        if isinstance(each.event, Invoked | Answered)
        else each
        for each in whole.entries
    ]
    cut = History([each for each in entries if each.time < 45.0], closed=False)
    assert LoadServed("load", gap=5.0).check(cut).verdict is Verdict.BROKEN
    assert LoadServed("load", share=0.99).check(cut).verdict is Verdict.UNKNOWN
    assert LoadServed("load", gap=20.0).check(cut).verdict is Verdict.UNKNOWN


def test_a_command_that_nobody_promised_judges_nobody() -> None:
    """However its calls go."""
    before = Assumptions().check(node_kill().endures(recovery=16.5).history())
    for counts in (good, but(0, 80, (0, 1)), but(0, 80, None)):
        finding = Assumptions().check(told(counts))
        assert (finding.verdict, finding.summary) == (before.verdict, before.summary)


def test_each_command_has_a_line_of_its_own_in_the_timeline() -> None:
    """With its calls counted, and its beginning and end among the moments."""
    timeline = Timeline(told(but(20, 28, (0, 10)), end=60.0, status=3), ())
    lines = [line.plain for line in timeline.lines(120)]
    assert any(line.startswith("command load") for line in lines)
    said = [moment.what for moment in timeline.moments]
    assert "the command load begins" in said
    assert any(each.startswith("the command load ended") for each in said)
    calls = timeline.reading.calls["command load"]
    assert (calls.counts[Outcome.OK], calls.counts[Outcome.FAIL]) == (500, 80)


@pytest.mark.parametrize(
    "bad", [((20, 28, (0, 10)),), ((20, 27.9, (0, 1)),), ((20, 31, (0, 10)), (24, 25, (10, 0)))], ids=["ten a line", "one a line", "twice"]
)
def test_one_outage_of_a_command_has_one_figure_in_findings_and_in_reports(bad: tuple[tuple[float, float, tuple[int, int]], ...]) -> None:
    """What lines surely tell: from the first call that did not go well to the last, and not from one line to another."""

    def counts(time: float) -> tuple[int, int]:
        return next((said for start, end, said in reversed(bad) if start < time <= end), (10, 0))

    history = told(counts, end=60.0, status=3)
    finding = LoadServed("load", gap=2.0).check(history)
    said = [moment.what for moment in Timeline(history, ()).moments]
    outages = re.findall(r"no call of the command load went well for ([0-9.]+ s) from ([0-9.]+ s)", finding.summary)
    assert outages
    assert {f"command load: a good answer again, after {length} without one" for length, _ in outages} <= {*said}
    assert all(any(f"command load: no good answer since {since}" in each for each in said) for _, since in outages)
    assert any("the command load ended with status 3" in each for each in said)


def test_what_stands_in_a_history_is_read_whatever_it_is() -> None:
    """Others may have written it."""
    story = node_kill().load(2.0, 60.0, "load", good, status=0)
    strange: Iterator[str] = iter(["9" * 5000, "-1", "x", '{"ok": true}', "\udcff"])
    made = Story()
    for time, event in story._told:
        if isinstance(event, Answered) and event.value is not None:
            made.tell(time, dataclasses.replace(event, value=next(strange, "")))
        else:
            made.tell(time, event)
    found = loads(made.history())["load"]
    assert (found.pieces, found.status) == ((), None)
    assert json.dumps(LoadServed("load", 0.9).check(made.history()).details)
