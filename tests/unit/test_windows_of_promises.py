"""Promises about the time of a fault, from a file to a verdict: what is refused, which faults a name means, and what is said before a run."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.checkers import Availability, Conflicts, Single
from harness.core import parameters
from harness.core.errors import BadInput
from harness.core.values import Finding, Verdict
from harness.faults.power import NodeKill
from harness.modes.fleet import Fleet
from harness.plan import Plan, plan
from harness.plan.foresight import warnings
from harness.reports.verdict_table import conviction
from harness.scenario import loads
from harness.scenario.jsonschema import json_schema
from harness.steps import Break, Control, Hold
from tests.unit.reporting import a_run
from tests.unit.sessions import Scripted, in_memory, scripted

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """\
scenario: x
why: y
cluster: {nodes: 3}
apps: [{name: web, instances: 2}]
workloads: [{http: {app: web, rate: 20/s}}, register]
steps:
  - {fault: net.partition, with: {shape: isolate}, on: n1, hold: 30s, as: cut}
  - {fault: daemon.hang, on: n2, as: hang}
  - repeat: {times: 2}
    steps: [{fault: process.kill, with: {process: etcd}, on: n3, hold: 5s, as: round}]
promises:
"""
SERVED = "availability: {app: web, share: 50%, gap: 10s"
ABLE = (
    "expected a promise that can be about a part of a run: availability, bystanders, command, conflicts, elections, fdatasync, latency, "
    "probe, quorum, single"
)

WRONG = {
    "a name of nothing": (f"  - {SERVED}, during: cat}}\n", ["s.yaml:12:60: during: cat, which no fault is called; expected the name of a fault"]),
    "one of several": (f"  - {SERVED}, outside: [cut, cat]}}\n", ["s.yaml:12:67: outside: cat, which no fault is called"]),
    "a node": (f"  - {SERVED}, during: n1}}\n", ["s.yaml:12:60: during: n1, which no fault is called"]),
    "one name twice": (f"  - {SERVED}, during: [cut, cut]}}\n", ["s.yaml:12:60: 'cut' twice; expected the name of a fault"]),
    "none": (f"  - {SERVED}, during: []}}\n", ["s.yaml:12:60: an empty list; expected the name of a fault"]),
    "nothing": (f"  - {SERVED}, during: }}\n", ["s.yaml:12:"]),
    "a number": (f"  - {SERVED}, during: 3}}\n", ["s.yaml:12:60: 3; expected the name of a fault"]),
    "in it and not in it": (f"  - {SERVED}, during: cut, outside: cut}}\n", ["s.yaml:12:74: cut in during and in outside; expected each"]),
    "of losses": ("  - rescheduled: {app: web, during: cut}\n", [f"s.yaml:12:29: during of rescheduled; {ABLE}; each loss has a time of its own"]),
    "of the end": ("  - writes: {outside: cut}\n", ["s.yaml:12:14: outside of writes; expected a promise that can be about a part of a run"]),
    "of what no fault hit": ("  - bystanders: {outside: cut}\n", ["s.yaml:12:18: outside of bystanders; expected a promise"]),
    "of the whole run": ("  - settled: {during: cut}\n", [f"s.yaml:12:15: during of settled; {ABLE}; settled is about the whole run"]),
    "of terms": ("  - quorum: {during: cut}\n", ["s.yaml:12:22: quorum: found during with neither writes nor leader, expected one of these"]),
    "of a part of a fault": (
        "  - quorum: {writes: stop, during: hang, outside: cut}\n",
        ["s.yaml:12:13: quorum: found during and outside, expected one of them"],
    ),
    "all at once": (
        f"  - {SERVED}, during: [cot, hong]}}\n  - single: {{app: web, during: cat}}\n  - rescheduled: {{app: web, during: cut}}\n",
        ["s.yaml:12:61: during: cot", "s.yaml:12:66: during: hong", "s.yaml:13:32: during: cat", "s.yaml:14:29: during of rescheduled"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("promises", "told"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_the_time_of_a_promise_is_told_with_its_place(promises: str, told: list[str]) -> None:
    """All of it at once, with what was found and what was expected, and nothing else."""
    with pytest.raises(BadInput) as caught:
        loads(HEAD + promises, "s.yaml")
    said = str(caught.value).splitlines()
    assert [line[: len(start)] for line, start in zip(said, told, strict=True)] == told, said


def test_where_no_fault_has_a_name_the_way_to_one_is_told() -> None:
    """A fault that is held needs none but for this."""
    text = f"{HEAD}  - {SERVED}, during: cut}}\n".replace(", as: cut", "").replace("as: hang", "hold: 5s").replace(", as: round", "")
    with pytest.raises(BadInput, match="no fault has one: `as: NAME` beside its hold, or in place of it"):
        loads(text)


def test_where_the_steps_are_not_there_no_name_is_missed() -> None:
    """That follows from it."""
    with pytest.raises(BadInput) as caught:
        loads(HEAD.replace("steps:", "stebs:").replace("    stebs:", "    steps:") + f"  - {SERVED}, during: cut}}\n", "s.yaml")
    assert "during" not in str(caught.value)


def test_a_mode_that_has_other_steps_has_its_own_names() -> None:
    """The file is read as for that mode: what its steps name no longer, no promise can be about."""
    block = "but: {swarm: {because: why, steps: [{fault: daemon.hang, on: n2, hold: 5s, as: hang}]}}\n"
    with pytest.raises(BadInput, match=r"s.yaml:12:60: during: cut, which no fault is called; expected .*; there is hang"):
        loads(f"{HEAD}  - {SERVED}, during: cut}}\n{block}", "s.yaml")


def _planned(promises: str) -> Plan:
    return plan(loads(HEAD + promises), mode=Fleet(), provider="nspawn", seed=7)


def test_a_plan_knows_which_faults_a_name_means() -> None:
    """Of a step in a repeat those of all rounds; a saved plan tells its checkers the same, and one from before there were names has none."""
    made = _planned(f"  - {SERVED}, during: [cut, round]}}\n  - single: {{app: web, outside: hang}}\n")
    numbers = {"cut": (1,), "hang": (2,), "round": (3, 4)}
    judged: list[Any] = [each for each in made.promises if isinstance(each, Availability | Single)]
    assert [(each.during, each.outside, each.expected.numbers) for each in judged] == [
        (("cut", "round"), (), numbers),
        ((), ("hang",), numbers),
    ]
    body = json.loads(json.dumps(made.to_json()))
    assert Plan.from_json(body) == made
    for each in body["promises"]:
        next(iter(each.values())).pop("during", None)
        next(iter(each.values())).pop("outside", None)
    older: list[Any] = [each for each in Plan.from_json(body).promises if isinstance(each, Availability | Single)]
    assert [(each.during, each.outside) for each in older] == [((), ()), ((), ())]


def test_a_plan_in_python_counts_the_faults_that_no_file_can_hold() -> None:
    """Their numbers are those of the history."""
    made = _planned("  - conflicts\n")
    steps = (Break(Scripted(), "n1", Hold(5.0), "own"), Break(NodeKill(), "n2", Hold(5.0), "dead"))
    done = made.as_done(Fleet(), steps, [Single("web", during=("dead",))])
    judged: list[Any] = [each for each in done.promises if isinstance(each, Single)]
    assert [each.expected.numbers["dead"] for each in judged] == [(2,)]
    again: list[Any] = [each for each in Plan.from_json(json.loads(json.dumps(done.to_json()))).promises if isinstance(each, Single)]
    assert again == judged


def test_a_promise_in_python_is_about_a_fault_that_was_made_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name; another one is refused as in a file."""
    fault = scripted(monkeypatch)
    with in_memory(tmp_path) as session:
        session.break_(fault(), "n2", Hold(1.0), "cut")
        session.promise(Conflicts(during=("cut",)))
        with pytest.raises(
            BadInput, match=r"the promise conflicts: during: cat, which no fault is called; expected .*; did you mean 'cut'\?"
        ):
            session.promise(Conflicts(during=("cat",)))
        with pytest.raises(BadInput, match="units are for files"):
            session.promise(Conflicts(during="cut"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("promise", "words"),
    [
        ("availability: {app: web, share: 50%, gap: 30s, during: cut}", "allows 30 s, and cut is held for 30 s: nothing can be too long in it"),
        ("availability: {app: web, share: 50%, gap: 29s, during: cut}", ""),
        ("single: {app: web, longest: 5s, during: round}", "allows 5 s, and round is held for 5 s"),
        ("single: {app: web, during: round}", ""),
        ("availability: {app: web, share: 50%, gap: 30s, during: hang}", ""),
    ],
)  # fmt: skip
def test_what_a_hold_is_too_short_for_is_said_before_the_run(promise: str, words: str) -> None:
    """Where it is known before how long it will be."""
    said = [each for each in warnings(_planned(f"  - {promise}\n")) if "during" in each]
    assert [words in each for each in said] == [True] * bool(words)


def test_too_few_calls_in_a_hold_are_said_before_the_run() -> None:
    """Twenty are needed."""
    made = plan(loads((HEAD + f"  - {SERVED}, during: cut}}\n").replace("20/s", "30/m")), mode=Fleet(), provider="nspawn", seed=7)
    assert any("15 calls at most are made in it, and 20 are needed" in each for each in warnings(made))


def test_a_file_may_name_one_fault_or_several() -> None:
    """What editors complete says so, too, and it reads back from a plan."""
    one = parameters.build(Single, {"app": "db", "during": "cut"})
    assert (one.during, parameters.build(Single, parameters.read(one))) == (("cut",), one)
    (single,) = [each for each in json_schema()["properties"]["promises"]["items"]["oneOf"] if "single" in each.get("properties", {})]
    kinds = single["properties"]["single"]["properties"]["during"]["anyOf"]
    assert [each["type"] for each in kinds] == ["string", "array"]


@pytest.mark.parametrize(("match", "right"), [("while cut was in force", True), ("while cut was not there", False)])
def test_a_control_may_be_convicted_by_any_of_several_promises_of_a_checker(match: str, *, right: bool) -> None:
    """The one that it names by its words; that another one of the same checker was kept is none of its business."""
    kept = Finding("availability", Verdict.HELD, "99% of 200 calls to web while cut was not there were answered well")
    found = Finding("availability", Verdict.BROKEN, "12% of 200 calls to web while cut was in force were answered well")
    for findings in ([kept, found], [found, kept]):
        run = a_run([Finding("assumptions", Verdict.HELD, "it can be judged"), *findings])
        run = dataclasses.replace(run, plan=dataclasses.replace(run.plan, control=Control(Verdict.BROKEN, "availability", match)))
        said = conviction(run)
        assert said is not None
        assert said.right is right, said.text
