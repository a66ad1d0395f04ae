"""Probes: what an answer is, what a file may say, and what is judged of them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.checkers import Assumptions, Probed
from harness.conductor import permission, spelling
from harness.core import parameters
from harness.core.errors import BadInput, Unreachable, Unsupported
from harness.core.values import Call, Outcome, Result, Unavailable, Verdict
from harness.history.events import History
from harness.modes.fleet import Fleet
from harness.nodes import users_command
from harness.plan import CALMER, Plan, briefing, plan
from harness.plan.foresight import warnings
from harness.reports.timeline import Timeline
from harness.scenario import json_schema, load, loads
from harness.testing.histories import Story, node_kill
from harness.testing.memory_node import MemoryNode
from harness.workloads.probe import Probe, ProbeClient
from tests.unit.sessions import in_memory

# ---------------------------------------------------------------- an answer


def answered(probe: Probe, status: int, said: str = "") -> Outcome:
    """Return what is made of how a command ended."""
    node = MemoryNode("n1", "10.77.0.11")
    node.programs["sh"] = lambda argv, _: Result(tuple(argv), status, said.encode(), b"")
    return ProbeClient(probe, node).invoke(Call("ask", probe.called)).outcome


@pytest.mark.parametrize(
    ("status", "outcome"), [(0, Outcome.OK), (1, Outcome.FAIL), *((each, Outcome.UNKNOWN) for each in (2, 126, 127, 137, 255))]
)
def test_a_command_says_yes_no_or_that_nobody_knows(status: int, outcome: Outcome) -> None:
    """A program that is not there has not said no."""
    assert answered(Probe("queue", "n1", "./ask"), status) is outcome


@pytest.mark.parametrize(
    ("said", "status", "outcome"),
    [
        ("0", 0, Outcome.OK),
        ("3.5\n", 0, Outcome.OK),
        ("10", 0, Outcome.OK),
        ("10.1", 0, Outcome.FAIL),
        ("-1", 0, Outcome.FAIL),
        ("inf", 0, Outcome.FAIL),
        ("nan", 0, Outcome.UNKNOWN),
        ("many", 0, Outcome.UNKNOWN),
        ("", 0, Outcome.UNKNOWN),
        ("5", 1, Outcome.UNKNOWN),
    ],
)
def test_a_value_is_in_its_range_or_not_or_none(said: str, status: int, outcome: Outcome) -> None:
    """What prints no number, or ends badly, has measured nothing."""
    assert answered(Probe("queue", "n1", "./measure", between=(0.0, 10.0)), status, said) is outcome


def test_a_range_may_be_a_single_number() -> None:
    """As a counter that must stay at zero has it."""
    probe = Probe("queue", "n1", "./measure", between=(5.0, 5.0))
    assert [answered(probe, 0, said) for said in ("5", "5.1", "4.9")] == [Outcome.OK, Outcome.FAIL, Outcome.FAIL]


def test_a_node_that_gives_no_answer_has_not_said_no() -> None:
    """It is asked anew the next time."""
    node = MemoryNode("n1", "10.77.0.11", on=False)
    reply = ProbeClient(Probe("queue", "n1", "./ask"), node).invoke(Call("ask", "queue"))
    assert reply.outcome is Outcome.UNKNOWN
    assert "n1: no answer to ./ask" in reply.error
    with pytest.raises(Unreachable):
        users_command.ran(node, "./ask", 1.0)


# ---------------------------------------------------------------- a file


HEAD = """scenario: x
why: y
apps: [{name: web, instances: 2}]
steps: [{fault: node.kill, on: n3, hold: 9s}]
"""


def _problems(text: str) -> list[str]:
    with pytest.raises(BadInput) as caught:
        loads(HEAD + text, "s.yaml")
    return [str(each) for each in caught.value.problems]


WRONG: dict[str, tuple[str, list[str]]] = {
    "no question": ("probes: [{name: a, on: n1}]\n", ["s.yaml:5:10: probe: found no question, or two; expected either command or port"]),
    "two questions": ("probes: [{name: a, on: n1, command: x, port: 80}]\n", ["found no question, or two"]),
    "a range of nothing": ("probes: [{name: a, on: n1, port: 80, between: [1, 2]}]\n", ["between is for the number that a command prints"]),
    "a path of a command": ("probes: [{name: a, on: n1, command: x, path: /x}]\n", ["path and status are for what a port answers"]),
    "an empty range": ("probes: [{name: a, on: n1, command: x, between: [2, 1]}]\n", ["expected the smaller one first"]),
    "no such node": ("probes: [{name: a, on: n9, command: x}]\n", ["s.yaml:5:24: the node 'n9'; expected a node's name, n1 to n3"]),
    "one name twice": (
        "probes:\n  - {name: a, on: n1, command: x}\n  - {name: a, on: n2, command: y}\n",
        ["s.yaml:7:12: a second probe named 'a'; expected a name of its own for each probe; the first is in line 6"],
    ),
    "one name twice, in both sections": (
        "workloads:\n  - probe: {name: a, on: n1, command: x}\nprobes:\n  - {name: a, on: n2, command: y}\n",
        ["s.yaml:8:12: a second probe named 'a'"],
    ),
    "one name twice, of which neither can be read otherwise": (
        (
            "workloads:\n  - probe: {name: a, on: n9, command: x, every: 1ms}\n"
            "probes:\n  - {name: a, on: n8, port: 0}\n  - {name: a, on: n1, port: 80}\n"
        ),
        [
            "s.yaml:6:26: the node 'n9'",
            "'1ms'; expected how often",
            "s.yaml:8:12: a second probe named 'a'; expected a name of its own for each probe; the first is in line 6",
            "s.yaml:8:19: the node 'n8'",
            "0; expected a port of the node",
            "s.yaml:9:12: a second probe named 'a'; expected a name of its own for each probe; the first is in line 6",
        ],
    ),
    "what can be no name twice": ("probes:\n  - {name: A, on: '', port: 80}\n  - {name: A, on: n1, port: 80}\n", ["'A'", "''", "'A'"]),
    "several at once": (
        "probes:\n  - {name: A, on: '', every: 1ms, within: 0s}\n  - {nam: b, on: n1, port: 0, path: x y, status: 7, command: ' '}\n",
        [
            "s.yaml:6:12: 'A'; expected a name of lower-case letters",
            "s.yaml:6:19: ''; expected the name of a node",
            "'1ms'; expected how often: a duration of 100ms or more",
            "'0s'; expected how long an answer may take: a duration above 0",
            "s.yaml:7:6: an unknown key 'nam'",
            "0; expected a port of the node",
            "'x y'; expected the path of a URL",
            "7; expected a status of HTTP",
            "' '; expected a command for a shell",
        ],
    ),
    "no list": ("probes: {name: a}\n", ["s.yaml:5:9: a mapping with name; expected a list of probes"]),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_with_probes_is_told_at_once_with_its_place(kind: str) -> None:
    """Before anything is made."""
    text, expected = WRONG[kind]
    told = _problems(f"{text}promises: [conflicts]\n")
    assert [each for each in expected if not any(each in line for line in told)] == [], told


def test_a_promise_of_a_probe_that_nobody_asks_is_told() -> None:
    """With those that are asked."""
    text = "probes: [{name: queue, on: n1, command: x}]\npromises: [probe: {name: quue, share: 99%, gap: 5s}]\n"
    assert _problems(text) == ["s.yaml:6:12: a promise of the probe 'quue', which nobody asks; expected the name of a probe: queue"]


GOOD = """probes:
  - {name: queue, on: n1, command: ./ask, every: 500ms}
  - {name: front, on: n2, port: 8001, path: /health, within: 2s}
promises: [probe: {name: queue, share: 99%, gap: 5s}]
but:
  swarm:
    because: there it is asked of another node
    probes: [{name: queue, on: n3, command: ./ask}]
"""


def test_probes_stand_in_a_section_of_their_own_and_are_called_as_workloads_are(tmp_path: Path) -> None:
    """Also in a mode that has others, and in a plan that is read again."""
    made = plan(loads(HEAD + GOOD, "s.yaml"), mode=Fleet(), provider="nspawn", seed=1)
    assert made.workloads == (Probe("queue", "n1", "./ask", every=0.5), Probe("front", "n2", port=8001, path="/health", deadline=2.0))
    assert Plan.from_json(made.to_json()).workloads == made.workloads
    assert [(each.name, each.rate) for each in made.workloads] == [("probe", 2.0), ("probe", 1.0)]
    (tmp_path / "s.yaml").write_text(HEAD + GOOD, encoding="utf-8")
    assert load(tmp_path / "s.yaml", mode="swarm").workloads == (Probe("queue", "n3", "./ask"),)
    assert made.expected.workloads == (("probe", "queue"), ("probe", "front"))
    assert "probes" in json_schema()["properties"]


def test_a_scenario_in_python_is_told_what_a_file_is() -> None:
    """Of nodes and names; and of a promise that no probe is asked for."""
    twice = [Probe("queue", "n9", "./ask"), Probe("queue", "n1", "./ask")]
    with pytest.raises(BadInput) as caught:
        spelling.must_be_workloads(twice, ["web"], ["n1", "n2"])
    assert [str(each) for each in caught.value.problems] == [
        "the probe queue: the node 'n9'; expected a node's name, n1 to n2, or here",
        "the probe queue: a second probe named 'queue'; expected a name of its own for each probe",
    ]
    with pytest.raises(BadInput, match="a promise of the probe 'front', which nobody asks"):
        spelling.must_be_promises([Probed("front", 0.9, 5.0)], ["web"], twice)


def test_a_plan_warns_of_a_share_that_has_too_few_answers() -> None:
    """Whatever is seen, it would be unknown."""
    few = GOOD.replace("every: 500ms", "every: 10s")
    said = [warnings(plan(loads(HEAD + text, "s.yaml"), mode=Fleet(), provider="nspawn", seed=1)) for text in (few, GOOD)]
    assert [[each for each in told if "a share needs" in each] for told in said] == [
        ["the probe queue is asked 9 times at most: a share needs 20 answers, so it will be unknown; ask more often"],
        [],
    ]


def test_a_plan_warns_of_a_gap_that_is_no_longer_than_a_probe_waits_between_two_questions() -> None:
    """Nobody can see whether it was kept."""
    rare = GOOD.replace("every: 500ms", "every: 10s")
    said = [warnings(plan(loads(HEAD + text, "s.yaml"), mode=Fleet(), provider="nspawn", seed=1)) for text in (rare, GOOD)]
    words = "asked only every 10 s, and a gap of 5 s was promised: nobody can see that it was kept, so it will be unknown"
    assert [[words in each for each in told if "only every" in each] for told in said] == [[True], []]


def test_what_a_probe_runs_must_be_allowed_as_any_command_is(tmp_path: Path) -> None:
    """By whoever runs the nodes; an answer over HTTP needs no leave."""

    class Marked:
        name = "marked"

        def refusal(self, run_id: str, node: str, what: Any) -> Unavailable | None:
            return Unavailable("the mark allows only node.kill", "command in it") if what.name == "command" else None

    with in_memory(tmp_path) as session:
        own = session.cluster.provider
        more = {name: getattr(own, name) for name in ("create", "adopt", "destroy", "network")}
        cluster = dataclasses.replace(session.cluster, provider=type("Borrowed", (Marked,), more)())
        for probe, allowed in ((Probe("front", "n1", port=80), True), (Probe("queue", "n1", "./ask"), False)):
            made = dataclasses.replace(session.plan, workloads=(probe,))
            with contextlib.nullcontext() if allowed else pytest.raises(Unsupported, match="command cannot be made on n1: the mark"):
                permission.must_be_possible(made, cluster)


def test_slow_machines_are_asked_less_often() -> None:
    """And given longer for each answer."""
    probe: Any = briefing.calmer(Probe("queue", "n1", "./ask", every=2.0, deadline=3.0), CALMER)
    assert (probe.every, probe.deadline) == (2.0 * CALMER, 3.0 * CALMER)
    assert parameters.build(Probe, parameters.read(probe)) == probe


# ---------------------------------------------------------------- what is judged


def endured() -> Story:
    """Return the good run, in which 16.5 s are endured."""
    return node_kill().endures(recovery=16.5)


def told(
    answer: Callable[[float], Outcome | str | None],
    *,
    every: float = 0.5,
    start: float = 2.0,
    end: float = 68.0,
    story: Callable[[], Story] = endured,
) -> History:
    """Return the good run with a question that is asked so often, and answered so at each moment; None: not asked, text: nobody told how it ended."""
    made = story()
    for number in range(round((end - start) / every)):
        begun = start + number * every
        outcome = answer(begun)
        if outcome is not None:
            made.call(begun, "probe", Call("ask", "queue"), outcome if isinstance(outcome, Outcome) else None, by="n1")
    return made.history()


def later(answer: Callable[[float], Outcome | str | None], **more: Any) -> Callable[[], History]:
    """Have a history told once it is judged: every worker reads this module, and judges few of them."""
    return partial(told, answer, **more)


def during(
    start: float, end: float, outcome: Outcome | str | None, otherwise: Outcome = Outcome.OK
) -> Callable[[float], Outcome | str | None]:
    """Return what is answered: one thing in a time, and another at all others."""
    return lambda time: outcome if start <= time < end else otherwise


OK, NO, MUTE = Outcome.OK, Outcome.FAIL, Outcome.UNKNOWN
STALLS = (15.0, 25.0, 35.0, 45.0)


def now_and_then(time: float) -> Outcome:
    """No to one question of six, from the fault on: 83.5 % are yes."""
    return NO if time > 10 and time % 3 == 0 else OK


def for_three_seconds(*starts: float) -> Callable[[float], Outcome]:
    """No for three seconds from each of these moments on."""
    return lambda time: NO if any(start <= time <= start + 3 for start in starts) else OK


def beside_another(outcome: Outcome | None) -> Story:
    """The good run in which another probe is asked as well; None: of all of that nobody told how it ended."""
    story = node_kill().endures(recovery=16.5)
    for number in range(120):
        story.call(2.2 + number / 2, "probe", Call("ask", "front"), outcome, by="n3")
    return story


def stalled() -> Story:
    """The good run in which we stood still for three seconds, several times."""
    story = node_kill().endures(recovery=16.5)
    for start in STALLS:
        story.stalled(start, start + 3)
    return story


def with_another_fault() -> Story:
    """The good run with a fault that is decided when the first one is over."""
    return node_kill().endures(recovery=16.5).fault("disk.slow", "n1", decided=55.0, in_force=55.5, healing=60.0, healed=60.5, number=2)


JUDGED: dict[str, tuple[Callable[[], History], Verdict, str]] = {
    # the promise: 90 % and 5 s, from 10 s to 70 s
    "all yes": (later(lambda _: OK), Verdict.HELD, "100.0% of 115 answers of the probe queue"),
    "no for four seconds": (later(during(20, 24, NO)), Verdict.HELD, "gave no good answer for 4.5"),
    "no for six seconds": (later(during(20, 26, NO)), Verdict.BROKEN, "5 s were allowed"),
    "no now and then": (later(lambda time: NO if time > 10 and time % 3 == 0 else OK), Verdict.BROKEN, "90% were promised"),
    "could not be asked for six seconds": (
        later(during(20, 26, MUTE)),
        Verdict.UNKNOWN,
        "but it could be asked in 0.00 s of that at most: too few to tell",
    ),
    "could not be asked now and then": (
        later(lambda time: MUTE if time > 10 and time % 3 == 0 else OK),
        Verdict.UNKNOWN,
        "(not counted: 19 questions that could not be asked), 90% were promised; but nobody knows what the answers to those would have been, nor",
    ),
    "could not be asked, and was no between": (
        later(lambda time: (NO if time % 1 else MUTE) if 20 <= time < 30 else OK),
        Verdict.UNKNOWN,
        "too few to tell",
    ),
    "could not be asked, and was no for six seconds after that": (
        later(lambda time: OK if not 20 <= time < 30 else MUTE if time < 23.5 else NO),
        Verdict.BROKEN,
        "gave no good answer",
    ),
    "asked in vain all along": (later(lambda _: MUTE), Verdict.UNKNOWN, "had no answer"),
    "not asked for six seconds": (
        later(during(20, 26, None)),
        Verdict.UNKNOWN,
        "but it was asked in 0.00 s of that at most: too few to tell",
    ),
    "answers are missing for six seconds": (later(during(20, 26, "lost")), Verdict.UNKNOWN, "answers of"),
    "no with the answers missing that may have been yes": (
        later(lambda time: (NO if time % 1 else "lost") if 20 <= time < 30 else OK),
        Verdict.UNKNOWN,
        "answers of",
    ),
    "never asked": (lambda: node_kill().history(), Verdict.UNKNOWN, "never asked"),
    "no already before": (later(during(5, 26, NO)), Verdict.UNKNOWN, "said no before the first fault was made"),
    "no all along": (later(lambda _: NO), Verdict.UNKNOWN, "said no before the first fault was made"),
    "first asked after the fault": (later(lambda _: OK, start=12.0), Verdict.UNKNOWN, "had no answer before"),
    "could not be asked just before": (
        later(lambda time: MUTE if 4 <= time < 10 else NO if time > 10 else OK),
        Verdict.UNKNOWN,
        "had no answer from 3.5",
    ),
    "was not asked just before": (
        later(lambda time: None if 4 <= time < 10 else NO if time > 10 else OK),
        Verdict.UNKNOWN,
        "had no answer from 3.5",
    ),
    "could not be asked once just before": (
        later(lambda time: MUTE if time == 9.5 else NO if time > 10 else OK),
        Verdict.BROKEN,
        "5 s were allowed",
    ),
    "could not be asked for a while, and was so again": (
        later(lambda time: MUTE if 4 <= time < 9 else NO if time > 10 else OK),
        Verdict.BROKEN,
        "5 s were allowed",
    ),
    "no before, and yes as it was broken": (
        later(during(5, 10, NO)),
        Verdict.UNKNOWN,
        "said no before the first fault was made (at 10.0 s)",
    ),
    "no before the first of two faults": (
        later(during(5, 10, NO), story=with_another_fault),
        Verdict.UNKNOWN,
        "said no before the first fault was made (at 10.0 s)",
    ),
    "yes before the first of two faults, and no before the second": (
        later(during(48, 55, NO), story=with_another_fault),
        Verdict.BROKEN,
        "5 s were allowed",
    ),
    "yes during two faults": (later(lambda _: OK, story=with_another_fault), Verdict.HELD, "100.0% of 115 answers"),
    "answers that could turn the share are missing": (
        later(lambda time: OK if time % 3 or time < 10 else "lost"),
        Verdict.UNKNOWN,
        "19 calls",
    ),
    "answers that could not turn the share are missing": (
        later(lambda time: NO if time > 10 and time % 2 == 0 else "lost" if time > 10 and time % 9 == 1 else OK),
        Verdict.BROKEN,
        "75.0% of 112 answers",
    ),
    "answers before the fault are missing": (later(during(3, 8, "lost")), Verdict.HELD, "100.0% of 115 answers"),
    "answers of another probe are missing": (
        later(lambda _: OK, story=partial(beside_another, None)),
        Verdict.HELD,
        "100.0% of 115 answers",
    ),
    "answers of another probe are missing, and no now and then": (
        later(now_and_then, story=partial(beside_another, None)),
        Verdict.BROKEN,
        "83.5% of 115 answers",
    ),
    "answers of another probe are missing, and no for six seconds": (
        later(during(20, 26, NO), story=partial(beside_another, None)),
        Verdict.BROKEN,
        "5 s were allowed",
    ),
    "another probe says no": (later(lambda _: OK, story=partial(beside_another, NO)), Verdict.HELD, "100.0% of 115 answers"),
    "another probe says yes": (later(now_and_then, story=partial(beside_another, OK)), Verdict.BROKEN, "83.5% of 115 answers"),
    "no while we stood still": (later(for_three_seconds(*STALLS), story=stalled), Verdict.HELD, "100.0% of 87 answers"),
    "no as often while we did not": (later(for_three_seconds(*STALLS)), Verdict.BROKEN, "75.7% of 115 answers"),
    "no while we did not, and we stood still at other times": (
        later(for_three_seconds(*(start + 5 for start in STALLS)), story=stalled),
        Verdict.UNKNOWN,
        "67.8% of 87 answers",
    ),
    "no fault was ever in force": (
        later(lambda _: OK, story=lambda: Story().node(0, "n1").fault("node.kill", "n2", decided=10, failed=11).done(70)),
        Verdict.UNKNOWN,
        "no fault was ever in force",
    ),
    "could not be asked twice": (
        later(lambda time: MUTE if time in {20, 30} else OK),
        Verdict.HELD,
        "were yes (not counted: 2 questions that could not be asked) (promised 90%)",
    ),
    "nothing is told of what could be asked": (later(lambda _: OK), Verdict.HELD, "69.0 s were yes (promised 90%)"),
    "not asked for three seconds several times, and no now and then": (
        later(lambda time: None if for_three_seconds(*STALLS)(time) is NO else NO if time % 5 == 0 and time > 10 else OK),
        Verdict.UNKNOWN,
        "more that were due were never asked",
    ),
    "as many answers as a share needs": (later(lambda _: OK, every=2.9), Verdict.HELD, "100.0% of 20 answers"),
    "asked seldom": (later(lambda _: OK, every=4.0), Verdict.UNKNOWN, "are needed for a share"),
    "asked seldom, and no once": (later(lambda time: NO if time == 22 else OK, every=4.0), Verdict.UNKNOWN, "lies within 0.01 s"),
    "asked seldom, and no for long": (later(during(20, 45, NO), every=4.0), Verdict.BROKEN, "5 s were allowed"),
}


def test_the_longest_time_without_an_answer_is_told_though_nobody_could_ask_in_it() -> None:
    """Beside the longest one that was asked all along; the details have it, and so does the picture."""
    history = told(lambda time: MUTE if 20 <= time < 30 else NO if 40 <= time < 42 else OK)
    finding = Probed("queue", 0.5, 15.0).check(history)
    assert finding.verdict is Verdict.HELD
    assert (
        "queue gave no good answer for 2.5 s from 39.5 s (allowed 15 s); for 10.5 s from 19.5 s there was no good answer" in finding.summary
    )


@pytest.mark.parametrize("kind", JUDGED)
def test_a_promise_of_a_probe_goes_by_answers_alone(kind: str) -> None:
    """Silence of ours, or of the node, convicts and acquits nobody."""
    history, verdict, words = JUDGED[kind]
    finding = Probed("queue", 0.9, 5.0).check(history())
    assert finding.verdict is verdict, finding.summary
    assert words in finding.summary


def test_answers_of_a_probe_are_counted_by_what_they_were() -> None:
    """In the judged time alone; a question that could not be asked is in no share."""
    finding = Probed("queue", 0.3, 5.0).check(told(lambda time: OK if time < 10 else (OK, OK, NO, MUTE)[round(time * 2) % 4]))
    counts = {name: finding.details[name] for name in ("from", "to", "asked", "yes", "no", "unknown", "share")}
    assert counts == {"from": 10.04, "to": 69.0, "asked": 115, "yes": 57, "no": 29, "unknown": 29, "share": 0.6628}


def test_a_probe_that_nobody_promised_judges_nobody() -> None:
    """However it answers, and however seldom it is asked."""
    good = Assumptions().check(node_kill().endures(recovery=16.5).history())
    for answer, every in ((NO, 0.5), (MUTE, 0.5), (OK, 20.0)):
        finding = Assumptions().check(told(lambda _, answer=answer: answer, every=every))  # type: ignore[misc]
        assert (finding.verdict, finding.summary) == (good.verdict, good.summary)


def test_each_probe_has_a_line_of_its_own_in_the_timeline() -> None:
    """By its name."""
    story = node_kill().call(5.0, "probe", Call("ask", "front"), Outcome.FAIL)
    lines = [line.plain for line in Timeline(told(lambda _: OK, story=lambda: story), ()).lines(120)]
    assert any(line.startswith("probe queue") for line in lines)
    assert any(line.startswith("probe front") for line in lines)


def test_a_probe_is_no_caller_of_an_app_of_its_name() -> None:
    """What is called of an app goes by who calls it."""
    made = plan(loads(HEAD + GOOD.replace("queue", "web"), "s.yaml"), mode=Fleet(), provider="nspawn", seed=1)
    assert made.expected.called == ()
    assert briefing.paces(made.apps, made.workloads) == {}


def test_the_fields_of_a_probe_are_named_as_in_a_file() -> None:
    """And in Python as the code has them."""
    names: Sequence[str] = parameters.names(Probe)
    assert {"name", "within"} <= set(names)
    assert {"called", "deadline"} <= {each.name for each in dataclasses.fields(Probe)}
