"""A plug-in's workload that calls an app, and its checkers: plans, histories and the live view treat them as they treat ours."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import ClassVar, cast

import pytest
import yaml

from harness import registry
from harness.checkers import Availability
from harness.conductor.spelling import must_be_workloads
from harness.core.errors import BadInput
from harness.core.protocols import Client, Cluster, Workload
from harness.core.units import Duration
from harness.core.values import About, App, Call, CallStream, Finding, Outcome, Verdict
from harness.history.calls import invoked, ops
from harness.history.events import Answered, History, Invoked
from harness.history.lines import from_line, to_line
from harness.history.situation import Situation
from harness.modes.fleet import Fleet
from harness.plan import Plan, plan
from harness.plan.foresight import warnings
from harness.registry.fitness import lacks
from harness.scenario import fits, loads
from harness.testing.bare import BareMode
from harness.testing.histories import Story
from harness.workloads.http import Http


class Plain:
    """What every workload of these tests has."""

    def calls(self, rng: Random) -> Iterator[Call]:
        """Yield calls to two instances in turn."""
        return itertools.cycle([Call("knock", "web@1"), Call("knock", "web@2")])

    def connect(self, cluster: Cluster) -> Client:
        """Raise: nobody calls."""
        raise NotImplementedError(cluster)

    def final(self, cluster: Cluster) -> Sequence[Call]:
        """Return nothing."""
        return ()


@dataclass(frozen=True)
class Knock(Plain):
    """A workload of others that calls an app."""

    app: str
    rate: float = 4.0
    deadline: Duration = 1.0

    name: ClassVar[str] = "acme.knock"
    stream: ClassVar[CallStream] = CallStream.APP


@dataclass(frozen=True)
class Scribble(Plain):
    """A workload of others that writes to the quorum."""

    rate: float = 4.0

    name: ClassVar[str] = "acme.scribble"
    stream: ClassVar[CallStream] = CallStream.QUORUM
    takes: ClassVar[tuple[str, ...]] = ("Quorum",)


class Judging:
    """What every checker of these tests has."""

    name: ClassVar[str]

    def check(self, history: History) -> Finding:
        """Say that nothing is known."""
        return Finding(self.name, Verdict.UNKNOWN, "nobody looked")


@dataclass(frozen=True)
class Reached(Judging):
    """A checker of others that goes by calls of an app."""

    app: str

    name: ClassVar[str] = "acme.reached"
    about: ClassVar[About] = About(CallStream.APP)


@dataclass(frozen=True)
class Kept(Judging):
    """A checker of others that goes by writes to the quorum, where it is asked to."""

    strictly: str = ""

    name: ClassVar[str] = "acme.kept"
    about: ClassVar[About] = About(CallStream.QUORUM, asked="strictly")


@dataclass(frozen=True)
class Asked(Judging):
    """A checker of others that goes by a probe."""

    called: str

    name: ClassVar[str] = "acme.answered"
    about: ClassVar[About] = About(CallStream.PROBE)


@dataclass(frozen=True)
class Back(Judging):
    """A checker of others that goes by when work is back."""

    app: str

    name: ClassVar[str] = "acme.back"
    about: ClassVar[About] = About(returns=True)


@dataclass(frozen=True)
class Woken(Judging):
    """A checker of others that goes by what somebody does about a loss."""

    app: str

    name: ClassVar[str] = "acme.woken"
    about: ClassVar[About] = About(by_hand=True)


@dataclass(frozen=True)
class Grown(Judging):
    """A checker of others that goes by a scale."""

    app: str
    to: int
    within: Duration

    name: ClassVar[str] = "acme.grown"
    about: ClassVar[About] = About(scale=True)


@dataclass(frozen=True)
class Pick(Knock):
    """A workload of others that calls some instances, by their names."""

    instances: tuple[str, ...] = ("web@2",)

    name: ClassVar[str] = "acme.pick"


@dataclass(frozen=True)
class Loose(Knock):
    """A workload of others whose types let through by what nobody can call."""

    rate: float | str | None = 4.0  # type: ignore[assignment]
    deadline: float | str = 1.0  # type: ignore[assignment]

    name: ClassVar[str] = "acme.loose"


@dataclass(frozen=True)
class Worded(Judging):
    """A checker of others whose parameters are words, where ours have figures."""

    app: str
    gap: str = "short"
    within: str = "soon"
    longest: str = "short"
    during: tuple[str, ...] = ("cut",)

    name: ClassVar[str] = "acme.worded"
    about: ClassVar[About] = About(CallStream.APP, returns=True)


@dataclass(frozen=True)
class Unbounded(Judging):
    """A checker of others that goes by a scale, however long that takes."""

    app: str
    to: int
    within: Duration | None = None

    name: ClassVar[str] = "acme.unbounded"
    about: ClassVar[About] = About(scale=True)


TEXT = """\
scenario: sample
why: It shows what is said of a plug-in.
cluster: {nodes: 3, mode: fleet}
apps: [{name: web, instances: 2}]
workloads: [WORKLOADS]
steps: [{fault: node.kill, on: n1, hold: HOLD}]
settle: 30s
promises: [PROMISES]
"""


def known() -> registry.Known:
    """Return what can be named, with what this file adds."""
    real = registry.known()
    workloads = {**real.workloads, **{each.name: each for each in (Knock, Scribble)}}
    checkers = {**real.checkers, **{each.name: each for each in (Reached, Kept, Asked, Back, Woken, Grown)}}
    return dataclasses.replace(real, workloads=workloads, checkers=checkers)


def text(workloads: str = "", promises: str = "conflicts", hold: str = "60s") -> str:
    """Return a scenario with these."""
    return TEXT.replace("WORKLOADS", workloads).replace("PROMISES", promises).replace("HOLD", hold)


def made(workloads: str = "", promises: str = "conflicts", hold: str = "60s") -> Plan:
    """Plan it."""
    scenario = loads(text(workloads, promises, hold), "s.yaml", among=known())
    return plan(scenario, mode=Fleet(), provider="nspawn", seed=7, among=known())


def told(workloads: str, promises: str) -> str:
    """Return all that is wrong with it."""
    with pytest.raises(BadInput) as caught:
        loads(text(workloads, promises), "s.yaml", among=known())
    return str(caught.value)


@pytest.mark.parametrize(
    ("workloads", "promise", "found", "expected"),
    [
        (
            "",
            "acme.reached: {app: web}",
            "a promise of acme.reached of web that nobody calls",
            "the workload http or acme.knock with `app: web`",
        ),
        ("register", "availability: {app: web, share: 1%, gap: 9s}", "availability of web that nobody calls", "http or acme.knock with"),
        ("", "acme.kept: {strictly: very}", "a promise of acme.kept with nothing that writes", "the workload register or acme.scribble"),
        ("", "acme.answered: {called: queue}", "a promise of the probe 'queue', which nobody asks", "a probe of that name, under `probes`"),
        ("", "acme.grown: {app: web, to: 5, within: 9s}", "a promise of 5 instances of web that no step asks for", "a number that a step"),
    ],
)
def test_what_is_missing_to_judge_by_is_told(workloads: str, promise: str, found: str, expected: str) -> None:
    """By what the checker says that it is about; and whose calls would do, ours and those of others."""
    said = told(workloads, promise)
    assert "s.yaml:8:" in said
    assert found in said
    assert expected in said


@pytest.mark.parametrize(
    ("workloads", "promise"),
    [
        ("acme.knock: {app: web}", "acme.reached: {app: web}"),
        ("acme.knock: {app: web}", "availability: {app: web, share: 1%, gap: 9s}"),
        ("http: {app: web}", "acme.reached: {app: web}"),
        ("acme.scribble", "writes"),
        ("", "acme.kept"),
    ],
)
def test_whose_calls_are_of_what_is_asked_for_will_do(workloads: str, promise: str) -> None:
    """Ours feed theirs, and theirs feed ours."""
    assert made(workloads, promise).workloads == tuple(made(workloads).workloads)


def test_who_is_called_is_expected_to_be() -> None:
    """The instances, the app, the deadline, and how often: as with our own."""
    ours, theirs = made("http: {app: web, rate: 4}"), made("acme.knock: {app: web}")
    assert theirs.expected.called == ours.expected.called == ("web@1", "web@2")
    assert theirs.expected.deadlines == (("acme.knock", "web", 1.0),)
    assert theirs.expected.streams == (("acme.knock", CallStream.APP),)
    assert ours.expected.streams == ()
    assert made("acme.scribble").expected.writes


@pytest.mark.parametrize("workload", ["http: {app: web, rate: 0.02}", "acme.knock: {app: web, rate: 0.02}"])
def test_a_plan_warns_of_calls_that_are_too_few(workload: str) -> None:
    """Whoever makes them."""
    assert [each for each in warnings(made(workload)) if each.startswith("web@1 is called only once in 100 s")]


ODD = """\
scenario: sample
why: It shows what is said of a plug-in.
cluster: {nodes: 3, mode: fleet}
apps: [{name: web, instances: 2}]
workloads: [{acme.pick: {app: web}}]
steps: [{do: app.scale, with: {app: web, instances: 3}}, {fault: node.kill, on: n1, hold: 60s, as: cut}]
promises: [{acme.worded: {app: web}}, {acme.unbounded: {app: web, to: 3}}]
"""


def test_a_plan_takes_nothing_but_a_figure_for_one() -> None:
    """What a class says that it is about is told by its words; of which types its parameters are is its own choice."""
    odd = {each.name: each for each in (Worded, Unbounded)}
    among = dataclasses.replace(known(), workloads={**known().workloads, Pick.name: Pick}, checkers={**known().checkers, **odd})
    assert not [*lacks("workloads", Pick.name, Pick), *(lack for name, each in odd.items() for lack in lacks("checkers", name, each))]
    read = plan(loads(ODD, "s.yaml", among=among), mode=Fleet(), provider="nspawn", seed=7, among=among)
    assert not [each for each in warnings(read) if "acme" in each]
    assert read.expected.called == ("web@1", "web@2")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("rate: 0", "the rate 0 of acme.loose"),
        ("rate: -1.5", "the rate -1.5 of acme.loose"),
        ("rate: often", "the rate 'often' of acme.loose"),
        ("rate: null", "the rate nothing of acme.loose"),
        ("deadline: soon", "the deadline 'soon' of acme.loose"),
        ("deadline: 0", "the deadline 0 of acme.loose"),
    ],
)
def test_figures_by_which_no_calls_could_be_made_are_refused(given: str, found: str) -> None:
    """In a file, in Python, and in a plan that is read back: whatever the types of a plug-in's workload let through."""
    among = dataclasses.replace(known(), workloads={**known().workloads, Loose.name: Loose})
    assert not list(lacks("workloads", Loose.name, Loose))
    with pytest.raises(BadInput) as caught:
        loads(text(f"acme.loose: {{app: web, {given}}}"), "s.yaml", among=among)
    assert [(each.line, each.found, each.expected) for each in caught.value.problems] == [(5, found, "a number above 0")]
    key, _, value = given.partition(": ")
    built = Loose("web", **{key: yaml.safe_load(value)})
    with pytest.raises(BadInput, match=re.escape(found)):
        must_be_workloads([cast("Workload", built)], ["web"])
    saved = {**made().to_json(), "workloads": [{"acme.loose": {"app": "web", key: yaml.safe_load(value)}}]}
    with pytest.raises(BadInput, match=re.escape(found)):
        Plan.from_json(saved, among=among)


def test_a_plan_warns_of_a_hold_that_is_too_short_for_their_promise() -> None:
    """By its own name, as of ours."""
    said = [warnings(made("", promise, "1s")) for promise in ("rescheduled: {app: web}", "acme.back: {app: web}")]
    assert [each.replace("rescheduled", "acme.back") for each in said[0]] == said[1]
    assert any("acme.back will be unknown for what is not back sooner" in each for each in said[1])


def test_a_plan_warns_that_nobody_acts_on_what_their_promise_is_about() -> None:
    """By its own name, as of ours."""
    said = [warnings(made("", promise)) for promise in ("manual: {app: web, within: 9s}", "acme.woken: {app: web}")]
    assert [each.replace("manual", "acme.woken") for each in said[0]] == said[1]
    assert any("acme.woken of web cannot be held" in each for each in said[1])


def test_a_workload_that_takes_a_quorum_is_told_where_there_is_none() -> None:
    """In the words in which ours is."""
    (misfit,) = fits.taken_misfits(Scribble, (), BareMode())
    assert misfit.found == f"'acme.scribble', with the {BareMode.name} mode"
    assert misfit.expected == "a mode with a quorum and a leader"
    assert fits.taken_misfits(Knock, (), BareMode()) == []


UNIT = "[Service]\nExecStart=/usr/bin/docker run --name web-%i web\n"


def test_calls_to_an_app_of_which_no_port_is_known_are_told(tmp_path: Path) -> None:
    """By the workload's own name."""
    (tmp_path / "web@.service").write_text(UNIT, encoding="utf-8")
    body = text("acme.knock: {app: web}").replace("{name: web, instances: 2}", "{name: web, native: web@.service, instances: 2}")
    with pytest.raises(BadInput, match=r"acme\.knock of web, of which no port is known"):
        loads(body, str(tmp_path / "s.yaml"), among=known())


# -- histories


def test_a_history_says_what_a_call_is_of_where_its_workload_does_not() -> None:
    """In a field of its own, which the lines of our own workloads do not have."""
    call = Call("knock", "web@1")
    ours, theirs = invoked(1, Http("web"), call), invoked(2, Knock("web"), call)
    assert ours == Invoked(1, "http", call)
    assert theirs == Invoked(2, "acme.knock", call, CallStream.APP)
    assert b"stream" not in to_line(1, 0.5, Invoked.kind, ours)
    line = to_line(2, 0.5, Invoked.kind, theirs)
    assert b'"stream":"http"' in line
    assert from_line(line, {Invoked.kind: Invoked}) == (2, 0.5, theirs)


def story(end: Outcome) -> History:
    """Tell of an app that is called by a plug-in's workload alone, all along; its calls end so once n2 is gone."""
    told = Story().node(0.0, "n1", "web@1").node(0.0, "n2").node(0.0, "n3")
    told.fault("node.kill", "n2", decided=9.9, in_force=10.0, healing=29.9, healed=30.0)
    for number in range(1, 500):
        time = number / 10
        told.tell(time, Invoked(number, "acme.knock", Call("knock", "web@1"), CallStream.APP))
        told.tell(time + 0.01, Answered(number, "acme.knock", end if time > 11.0 else Outcome.OK, by="n1"))
    return told.done(50.0).history()


@pytest.mark.parametrize(("end", "verdict"), [(Outcome.OK, Verdict.HELD), (Outcome.FAIL, Verdict.BROKEN)])
def test_a_promise_of_ours_is_judged_by_calls_of_theirs(end: Outcome, verdict: Verdict) -> None:
    """They are of an app, whoever made them."""
    history = story(end)
    assert len(ops(history, CallStream.APP)) == len(ops(history, "acme.knock")) == 499
    assert ops(history, CallStream.QUORUM) == ()
    assert Availability("web", 0.9, 5.0).check(history).verdict is verdict


@pytest.mark.parametrize(("stream", "waits"), [(CallStream.APP, True), (None, False)])
def test_a_run_waits_for_the_answers_of_calls_that_are_of_an_app(*, stream: CallStream | None, waits: bool) -> None:
    """Those of nobody say nothing of whether it serves."""
    situation = Situation(["n1"], [App("web", 1)], [], called={"web@1": 1.0}, writes=None, viewed=False)
    told = Story().node(0.0, "n1", "web@1").tell(1.0, Invoked(1, "acme.knock", Call("knock", "web@1"), stream))
    for entry in told.tell(1.1, Answered(1, "acme.knock", Outcome.FAIL)).history().entries:
        situation.hear(entry)
    assert ("web@1 does not answer" in situation.missing(1.2)) is waits


@pytest.mark.parametrize(("stream", "waits"), [(CallStream.QUORUM, True), (CallStream.APP, False), (None, False)])
def test_only_a_write_to_the_quorum_is_one(*, stream: CallStream | None, waits: bool) -> None:
    """A workload of others may write elsewhere."""
    situation = Situation(["n1"], [], [], called={}, writes=1.0, viewed=False)
    told = Story().node(0.0, "n1").tell(1.0, Invoked(1, "acme.scribble", Call("write", "k", "v"), stream))
    for entry in told.tell(1.1, Answered(1, "acme.scribble", Outcome.FAIL)).history().entries:
        situation.hear(entry)
    assert ("writes are not acknowledged" in situation.missing(1.2)) is waits
