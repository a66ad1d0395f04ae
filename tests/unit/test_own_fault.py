"""A fault of the user's own commands: what is run where, what is known of it, what is kept, and what a file may say.

That it keeps the contract of faults is in tests/contract, and that a node mends itself of it in tests/cluster.
"""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.actions.own_command import RunCommand
from harness.checkers.assumptions import Assumptions
from harness.conductor import Session, lending, permission
from harness.conductor.rehearsal import rehearse
from harness.core import parameters
from harness.core.clock import SystemClock, wait_until
from harness.core.errors import BadInput, FaultFailed, HarnessError, Unreachable, Unsupported
from harness.core.protocols import Action, Cluster, Fault, Node
from harness.core.threads import CertainThread
from harness.core.traits import EVERYBODY, ORCHESTRATOR, WITH_DOCKER, budget_among
from harness.core.values import Budget, Loss, Result, Stage, Term, Traits, Unavailable, Verdict, Who
from harness.faults import common
from harness.faults.own_fault import LEAVES, OwnFault
from harness.history import differing
from harness.history.bands import fault_bands
from harness.history.events import FaultStage, History
from harness.modes.fleet import Fleet
from harness.modes.swarm import Swarm
from harness.nodes import users_command
from harness.nodes.namespaced import ENVIRON
from harness.nodes.this_machine import LocalMachine
from harness.plan import Plan, briefing, plan
from harness.reports.prose import describe
from harness.scenario import loads
from harness.steps import Break, Hold
from harness.testing.memory_node import MemoryNode
from harness.testing.memory_provider import MemoryProvider
from harness.undo import deadman, ledger, reaper
from tests.unit.sessions import in_memory

NAME = "DB_PASSWORD"
WORD = "hunter2 $(id) 'a\" \\ "


class Machine:
    """A node's shell: this machine's own, in a folder of the node's."""

    def __init__(self, folder: Path, node: MemoryNode) -> None:
        self.folder = folder
        folder.mkdir()
        node.programs["sh"] = self.sh

    def sh(self, argv: Sequence[str], stdin: bytes) -> Result:
        """Run it as it was handed over."""
        done = subprocess.run(argv, input=stdin, env=ENVIRON, cwd=self.folder, capture_output=True, timeout=60, check=False)
        return Result(tuple(argv), done.returncode if done.returncode >= 0 else 128 - done.returncode, done.stdout, done.stderr)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """Lend a session over three nodes whose shells are real."""
    with in_memory(tmp_path) as made:
        for node in made.cluster.nodes:
            assert isinstance(node, MemoryNode)
            Machine(tmp_path / node.name, node)
        yield made


def marking(**more: Any) -> OwnFault:
    """Return a fault that leaves a file in the node's folder."""
    return dataclasses.replace(OwnFault("touch mark; echo broken", "rm -f mark; echo mended", "test -e mark"), **more)


def stages(session: Session) -> dict[Stage, str]:
    """Return each stage of the only fault with its detail."""
    return {event.stage: event.detail for _, event in History.load(session.recorder.path).each(FaultStage)}


# ---------------------------------------------------------------- what is run, and what is known


def test_a_run_breaks_holds_and_mends_by_the_users_commands_and_keeps_what_they_say(session: Session) -> None:
    """In the history, the report's moments, and nowhere else."""
    session.break_(marking(), "n1", Hold(5.0))
    told = stages(session)
    assert [*told] == [Stage.DECIDED, Stage.INJECTED, Stage.IN_FORCE, Stage.HEALING, Stage.HEALED]
    assert (told[Stage.INJECTED], told[Stage.HEALED]) == ("n1: broken", "n1: mended")
    (band,) = fault_bands(History.load(session.recorder.path))
    assert band.detail == "", "what was said is no reason for anything"


@pytest.mark.parametrize(("status", "known"), [(0, True), (1, False), *((each, None) for each in (2, 3, 124, 126, 127, 137, 255))])
def test_whether_it_bites_is_yes_no_or_not_known(session: Session, status: int, known: bool | None) -> None:
    """A program that is not there, one that was killed and one that ends in its own trouble have said nothing."""
    fault = marking(asking=f"echo the words >&2; exit {status}")
    node = session.cluster.nodes[0]
    if known is None:
        with pytest.raises(Unreachable, match=rf"n1: no answer to in_force, .*: status {status}, which is neither .*: the words"):
            fault.in_force(session.cluster, node)
    else:
        assert fault.in_force(session.cluster, node) is known


def test_a_question_that_cannot_be_asked_breaks_nothing(session: Session, tmp_path: Path) -> None:
    """It is asked before anything is broken, so that the run says so at once, and nothing is left of it."""
    session.break_(marking(asking="exit 3", breaking="touch broken"), "n1", Hold(5.0))
    told = stages(session)
    assert [*told] == [Stage.FAILED]
    assert told[Stage.FAILED].startswith("not made: asking whether it is in force already failed on 1 of 1 node")
    assert not (tmp_path / "n1" / "broken").exists()


def test_a_fault_that_was_not_made_is_over_at_once(session: Session) -> None:
    """It never began, so no heal of it is to come: what is looked at afterwards is from after all faults, and no other cause hides this one."""
    session.break_(marking(asking="exit 3"), "n1", Hold(5.0))
    session.end()
    history = History.load(session.recorder.path)
    (band,) = fault_bands(history)
    assert not band.was_there
    assert band.life(history.end).end == band.failed
    found = Assumptions().check(history)
    assert found.verdict is Verdict.UNKNOWN
    assert "command on n1 failed: not made: asking whether it is in force already failed" in found.summary
    assert "the last fault was over" not in str(found.details)


def test_a_question_without_an_end_fails_no_run(session: Session) -> None:
    """Asked once the cluster is formed, as when the fault is made, where nobody knows is *unknown*; never a harness that failed."""

    def endless(argv: Sequence[str], stdin: bytes) -> Result:
        raise Unreachable("n1", f"{argv[0]} {stdin!r}", "no end of it after 3 s; it was killed")

    for node in session.cluster.nodes:
        assert isinstance(node, MemoryNode)
        node.programs["sh"] = endless
    permission.must_be_possible(dataclasses.replace(session.plan, steps=(Break(marking(), "n1", Hold(5.0)),)), session.cluster)
    session.break_(marking(), "n1", Hold(5.0))
    assert re.search(r"not made: asking whether it is in force already .* no end of it after 3 s", stages(session)[Stage.FAILED], re.DOTALL)


def test_what_failed_first_is_told_first_where_it_cannot_be_mended_either(session: Session) -> None:
    """That nothing can be mended of what was never made right is what follows, and hides no cause."""
    fault = marking(breaking="touch mark; echo no luck; exit 7", mending="exit 9")
    first = r"command on n1: the command inject failed on 1 of 1 node:\s+n1: .* exited with status 7: no luck; and then it could not be healed in 3"
    with pytest.raises(FaultFailed, match=rf"^{first} tries: the command heal failed .*:\s+.* status 9"):
        session.break_(fault, "n1", Hold(5.0))


@pytest.mark.parametrize("asking", ["no-such-program", "./not-executable"])
def test_a_question_that_no_node_can_run_is_a_mistake_of_the_scenario(session: Session, asking: str) -> None:
    """Told before anything is made, when apps do not run yet; one that only nodes can answer that may be hit is asked of those alone."""
    made = dataclasses.replace(session.plan, steps=(Break(marking(asking=asking), "any", Hold(5.0)),))
    for node in session.cluster.nodes:
        node.run("sh", "-c", "touch not-executable")
    with pytest.raises(BadInput, match=r"in_force ended with status 12[67] on n1"):
        permission.must_be_possible(made, session.cluster)
    for name, node in {each.name: each for each in session.cluster.nodes}.items():
        node.run("sh", "-c", f"echo 'exit {0 if name == 'n3' else 127}' >asked")
    with pytest.raises(BadInput, match=r"in_force ended with status 12[67] on n1"):
        session.break_(marking(asking=asking), "n1", Hold(5.0))
    by_node = marking(asking=". ./asked")
    permission.must_be_possible(dataclasses.replace(made, steps=(Break(by_node, "n3", Hold(5.0)),)), session.cluster)
    with pytest.raises(BadInput, match="status 127 on n1"):
        permission.must_be_possible(dataclasses.replace(made, steps=(Break(by_node, "n1", Hold(5.0)),)), session.cluster)


class Refusing(MemoryProvider):
    """A provider with a node whose owner allows no command. A class of its own: what a class can is asked once in a process."""

    def refusal(self, run_id: str, node: str, what: Fault | Action) -> Unavailable | None:
        """Refuse it there."""
        return Unavailable(f"{node} of {run_id} allows no {what.name}", "it in the mark") if node == "n3" else None


def test_nothing_is_asked_where_whoever_runs_the_nodes_allows_no_command(session: Session, tmp_path: Path) -> None:
    """The question is one: leave is looked at for all nodes before any of them runs it."""
    session.cluster.provider = Refusing()
    made = dataclasses.replace(session.plan, steps=(Break(marking(asking="touch asked; false"), "any", Hold(5.0)),))
    with pytest.raises(Unsupported, match="allows no command"):
        permission.must_be_possible(made, session.cluster)
    assert not list(tmp_path.glob("*/asked"))


@pytest.mark.parametrize("target", ["n2", "any 2"])
def test_what_is_so_before_anything_was_done_is_no_fault_and_is_not_mended(session: Session, tmp_path: Path, target: str) -> None:
    """It is not ours: what it is has an owner. And a question whose answer is always yes would make every run's fault one that bites."""
    for node in session.cluster.nodes:
        node.run("sh", "-c", "touch mark")
    session.break_(marking(mending="rm -f mark; touch mended"), target, Hold(5.0))
    told = stages(session)
    assert [*told] == [Stage.FAILED]
    assert re.fullmatch(r"not made: in_force says that it is in force on n\d(, n\d)? before anything was done: .*", told[Stage.FAILED])
    assert sorted(each.name for each in tmp_path.glob("n*/m*")) == ["mark"] * 3
    assert ledger.read(session.folder / "ledger.jsonl") == ledger.OpenFaults((), ())
    session.end()
    assert sorted(each.name for each in tmp_path.glob("n*/m*")) == ["mark"] * 3


def test_one_of_our_own_that_is_in_force_already_is_not_mended_by_a_second(session: Session, tmp_path: Path) -> None:
    """It is the first one's until that is healed."""
    session.start(marking(), "n1", "first")
    session.break_(marking(), "n1", Hold(5.0))
    assert (tmp_path / "n1" / "mark").exists()
    session.heal("first")
    assert not (tmp_path / "n1" / "mark").exists()


def test_an_inject_that_ends_badly_is_told_with_its_words_and_mended(session: Session, tmp_path: Path) -> None:
    """Also what it had done by then."""
    session.break_(marking(breaking="touch mark; echo no luck; exit 7"), "n1", Hold(5.0))
    told = stages(session)
    assert Stage.IN_FORCE not in told
    assert "'sh -c touch mark; echo no luck; exit 7' exited with status 7: no luck" in told[Stage.FAILED]
    assert not (tmp_path / "n1" / "mark").exists()


def test_each_command_has_a_deadline_of_its_own(session: Session) -> None:
    """And one that is not over by then is no answer."""
    asked: list[tuple[str, float]] = []

    class Timed:
        name, address = "n1", "10.77.0.11"

        def run(self, *argv: str, timeout: float = 30.0, stdin: bytes = b"") -> Result:
            asked.append((argv[4], timeout))
            return Result(argv, 0 if argv[4] != "test -e mark" or len(asked) > 2 else 1, b"", b"")

    node: Any = Timed()
    fault = marking(inject_within=21.0, heal_within=400.0, in_force_within=3.0)
    fault.look_before(session.cluster, [node])
    fault.inject(session.cluster, [node])
    fault.heal(dataclasses.replace(session.cluster, provider=object()), [node])  # type: ignore[arg-type]  # one without a power switch
    assert asked == [("test -e mark", 3.0), ("touch mark; echo broken", 21.0), ("rm -f mark; echo mended", 400.0)]
    (late, *_) = session.cluster.nodes
    assert isinstance(late, MemoryNode)
    late.delay = 3.0
    with pytest.raises(Unreachable, match=r"n1: no answer to test -e mark: no end of it after 3 s"):
        fault.in_force(session.cluster, late)


def test_a_node_that_is_off_is_whole_and_is_not_asked(session: Session) -> None:
    """What a command leaves must end with the machine."""
    node = session.cluster.nodes[0]
    assert isinstance(node, MemoryNode)
    node.on = False
    assert marking().heal(session.cluster, [node]) == ""
    assert not marking().in_force(session.cluster, node)
    with pytest.raises(FaultFailed, match="n1: no answer"):
        marking().inject(session.cluster, [node])


QUOTED = """printf '%s' "a 'b' \\"c\\" $HOME `echo d`" >out; : ; $(: ';rm -rf /') # " '"""


def test_the_text_of_a_command_is_no_part_of_any_script(session: Session, tmp_path: Path) -> None:
    """Whatever stands in it, the same arrives at the node's shell, and in the timer of a node that lost us."""
    node = session.cluster.nodes[0]
    bare = subprocess.run(["/bin/sh", "-c", f"{QUOTED}\ncat out"], cwd=tmp_path, env=ENVIRON, capture_output=True, check=True).stdout
    fault = marking(mending=QUOTED)
    fault.heal(session.cluster, [node])
    assert node.run("sh", "-c", "cat out").out == bare
    (tmp_path / "n1" / "out").unlink()
    argv = deadman.command("whalefall-deadman-x-1", 30.0, fault.remedy(session.cluster, node))
    subprocess.run(["/bin/sh", "-c", argv[-1]], cwd=tmp_path / "n1", env=ENVIRON, capture_output=True, check=False)
    assert (tmp_path / "n1" / "out").read_bytes() == bare


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("becoming", ["", "exec env -i "], ids=["as it began", "another program"])
def test_what_still_breaks_is_ended_before_what_mends_begins(session: Session, tmp_path: Path, becoming: str, *, alone: bool) -> None:
    """With all that it waits for: whoever made it may stand still, or be dead, and nobody would mend what it breaks afterwards.

    Also where nothing is left of what it was begun with but its number.
    """
    cluster, node = session.cluster.of(1), session.cluster.nodes[0]
    mine = f"601.{os.getpid()}"  # another worker may try the same
    fault = marking(breaking=f"touch begun; {becoming}sh -c 'sleep {mine}; touch late'; touch late", inject_within=50.0)
    broke: list[BaseException] = []

    def inject() -> None:
        try:
            fault.inject(cluster, [node])
        except HarnessError as error:
            broke.append(error)

    thread = CertainThread(target=inject, name="inject")
    thread.start()
    wait_until((tmp_path / "n1" / "begun").exists, awaited="it to break", seconds=30, clock=SystemClock())
    _mended(fault, cluster, node, tmp_path, alone=alone)
    assert thread.wait(30)
    assert "status 137" in str(broke)
    assert not (tmp_path / "n1" / "late").exists()
    assert subprocess.run(["pgrep", "-fx", f"sleep {mine}"], check=False, capture_output=True).stdout == b""


def test_nothing_is_begun_that_nobody_could_end(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it cannot be noted which process breaks, none does; a user of this machine has a place for that."""
    node = session.cluster.nodes[0]
    monkeypatch.setattr(users_command, "_noted", lambda *_: "/nowhere/at/all")
    with pytest.raises(FaultFailed, match="status 125"):
        marking(breaking="touch begun").inject(session.cluster, [node])
    assert not (tmp_path / "n1" / "begun").exists()
    monkeypatch.undo()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "theirs"))
    assert users_command._noted("x-1", LocalMachine("x")).startswith(f"{tmp_path}/theirs/")
    assert users_command._noted("x-1", node).startswith("/run/")


@pytest.mark.parametrize("alone", [False, True])
def test_what_was_left_to_go_on_is_not_ended_by_what_mends(session: Session, tmp_path: Path, *, alone: bool) -> None:
    """It may be what mends that ends it, or nobody."""
    cluster, node = session.cluster.of(1), session.cluster.nodes[0]
    fault = marking(breaking="sleep 602 >/dev/null 2>&1 & echo $! >left")
    fault.inject(cluster, [node])
    left = int((tmp_path / "n1" / "left").read_text())
    _mended(fault, cluster, node, tmp_path, alone=alone)
    os.kill(left, signal.SIGKILL)


def _mended(fault: OwnFault, cluster: Cluster, node: Node, folder: Path, *, alone: bool) -> None:
    """Mend, by us or by the node alone."""
    if alone:
        subprocess.run(fault.remedy(cluster, node), cwd=folder / node.name, env=ENVIRON, check=True, capture_output=True)
    else:
        fault.heal(cluster, [node])


def test_a_node_that_mends_itself_ends_what_does_not_end(session: Session) -> None:
    """Then its timer tries again, in place of waiting for good."""
    fault = marking(mending="sleep 600", heal_within=0.05)
    done = subprocess.run(fault.remedy(session.cluster, session.cluster.nodes[0]), env=ENVIRON, timeout=60, check=False)
    assert done.returncode == 124


def test_all_commands_of_a_fault_know_which_one_they_are_of(session: Session) -> None:
    """So that what two faults leave on a node can be told apart: also by another process, and by a node alone."""
    made = marking(breaking='echo "$WHALEFALL_FAULT"', mending='echo "$WHALEFALL_FAULT"')
    nodes = session.cluster.nodes[:1]
    seen = set()
    for number in (1, 2):
        cluster = dataclasses.replace(session.cluster).of(number)
        alone = subprocess.run(made.remedy(cluster, nodes[0]), env=ENVIRON, capture_output=True, timeout=60, check=True).stdout
        told = {str(made.inject(cluster, nodes)), str(made.heal(cluster, nodes)), f"n1: {alone.decode().strip()}"}
        asked = marking(asking=f'test "n1: $WHALEFALL_FAULT" = "{next(iter(told))}"')
        assert asked.in_force(cluster, nodes[0])
        assert len(told) == 1
        seen |= told
    assert len(seen) == 2


def test_what_a_node_does_alone_is_killed_where_it_does_not_end_by_itself(session: Session, tmp_path: Path) -> None:
    """A command that ignores SIGTERM would keep the node from ever being mended."""
    stub = tmp_path / "timeout"
    stub.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    stub.chmod(0o755)
    where = {**ENVIRON, "PATH": f"{tmp_path}:{ENVIRON['PATH']}"}
    remedy = marking(mending="rm -f mark").remedy(session.cluster.of(1), session.cluster.nodes[0])
    told = subprocess.run(remedy, env=where, capture_output=True, timeout=60, check=True).stdout.decode().split()
    assert told[0].startswith("--kill-after=")
    assert float(told[1]) > 0


# ---------------------------------------------------------------- what is kept


def test_of_a_faults_secret_only_what_breaks_has_the_value_and_nobody_keeps_it(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """What mends is done by nodes and processes that have none; where anything prints it as it is, it is hidden."""
    monkeypatch.setenv(NAME, WORD)
    fault = marking(
        breaking='touch mark; echo "it is <$DB_PASSWORD>"; printf %s "$DB_PASSWORD" >kept',
        mending='rm -f mark; echo "[$DB_PASSWORD]"; cat kept',
        asking='cat kept; echo "[$DB_PASSWORD]"; test -e mark || exit 1; test -z "$DB_PASSWORD"',
        secret=NAME,
    )
    session.break_(fault, "n1", Hold(5.0))
    told = stages(session)
    assert told[Stage.INJECTED] == "n1: it is <***>"
    assert told[Stage.HEALED] == "n1: []\n***"
    (node, *_) = session.cluster.nodes
    assert isinstance(node, MemoryNode)
    lines = (session.folder / "ledger.jsonl").read_text(encoding="utf-8")
    assert "hunter2" not in repr([told, node.calls, fault.remedy(session.cluster, node), lines])
    with pytest.raises(Unreachable) as caught:
        dataclasses.replace(fault, asking="cat kept; exit 9").in_force(session.cluster, node)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", [None, "", "two\nlines"])
def test_a_secret_that_is_not_there_is_told_before_anything_is_made(
    session: Session, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    """And what has none mends all the same."""
    monkeypatch.delenv(NAME, raising=False)
    if value is not None:
        monkeypatch.setenv(NAME, value)
    fault, command = marking(secret=NAME), RunCommand("true", secret=NAME)
    lacking = dataclasses.replace(session.plan, steps=(Break(fault, "n1", Hold(5.0)),))
    for begin in (rehearse, lambda plan: lending.lent(plan, session.options).__enter__()):
        with pytest.raises(BadInput, match=f"the variable {NAME} of the environment"):
            begin(lacking)
    for made, do in (("fault", lambda: session.break_(fault, "n1", Hold(5.0))), ("action", lambda: session.act(command, "n1"))):
        with pytest.raises(BadInput, match=f"the {made} command: the variable {NAME} of the environment"):
            do()
    assert stages(session) == {}
    with pytest.raises(HarnessError, match=NAME):
        fault.look_before(session.cluster, session.cluster.nodes)
    assert fault.heal(session.cluster, session.cluster.nodes[:1]) == "n1: mended"


def test_one_that_talks_without_an_end_fills_nobodys_memory(session: Session) -> None:
    """The end of it is kept."""
    said = marking(breaking="yes | head -c 3000000; echo the end").inject(session.cluster, session.cluster.nodes[:1])
    assert said is not None
    assert said.endswith("y\nthe end")
    assert len(said) < 1100


# ---------------------------------------------------------------- mended by others


def test_another_process_mends_by_the_ledger_alone(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the reaper does after SIGKILL, and says what was said."""
    fault, nodes = marking(), list(session.cluster.nodes[:2])
    session._ledger.open(3, fault, ["n1", "n2"])
    fault.inject(session.cluster.of(3), nodes)
    monkeypatch.setattr(reaper, "_provider", lambda _: session.cluster.provider)
    monkeypatch.setattr(reaper, "_mode", lambda _: session.cluster.mode)
    monkeypatch.setattr(reaper, "minder", lambda _: None)
    told = list(reaper._mend("run-1", session.folder / "ledger.jsonl"))
    assert told == ["run-1: command on n1 and n2 was healed; it said: n1: mended; n2: mended"] or "was healed; it said" in told[0]
    assert not any((tmp_path / node.name / "mark").exists() for node in nodes)


# ---------------------------------------------------------------- what it is for everybody else


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({}, Traits(blinds=(), leaves=LEAVES)),
        ({"takes": ("disk",)}, Traits(parts=("disk",), blinds=(), leaves=LEAVES)),
        ({"loses": "node"}, Traits(Loss.NODE, blinds=EVERYBODY, leaves=LEAVES)),
        ({"loses": "node", "in_place": True, "blinds": ()}, Traits(Loss.NODE, in_place=True, blinds=(), leaves=LEAVES)),
        ({"loses": "process", "takes": ("dockerd",)}, Traits(Loss.PROCESS, ("docker",), blinds=WITH_DOCKER, leaves=LEAVES)),
        ({"loses": "process", "takes": ("etcd", "fleetd")}, Traits(Loss.PROCESS, ("etcd", "fleetd"), blinds=ORCHESTRATOR, leaves=LEAVES)),
        ({"loses": "link"}, Traits(Loss.LINK, blinds=ORCHESTRATOR, apart=True, leaves=LEAVES)),
        ({"blinds": ("host", "docker")}, Traits(blinds=("docker", "host"), leaves=LEAVES)),
    ],
    ids=str,
)
def test_nothing_is_excused_but_what_the_scenario_says(said: dict[str, Any], kind: Traits) -> None:
    """By default nobody is lost to it, and nobody is blind."""
    assert marking(**said).traits == kind


def test_what_it_leaves_may_be_anything_that_is_looked_for() -> None:
    """A run must look as it did before all the same."""
    assert set(LEAVES) == set(differing.ASPECTS)


@pytest.mark.parametrize(("loses", "lost"), [("nothing", ()), ("process", ("n1",)), ("node", ("n1",)), ("link", ("n1",))])
def test_who_is_lost_is_who_was_hit_by_what_it_says_that_is_lost(session: Session, loses: Any, lost: tuple[str, ...]) -> None:
    """Of links, who reaches no majority then: of two that are cut off, all three."""
    fault = marking(loses=loses, takes=("docker",) if loses == "process" else ())
    assert common.lost(fault, session.cluster, session.cluster.nodes[:1]) == lost
    if loses == "link":
        assert common.lost(fault, session.cluster, session.cluster.nodes[:2]) == ("n1", "n2", "n3")


HEAD = "scenario: x\nwhy: y\ncluster: {nodes: 3}\napps: [{name: web, instances: 2}]\npromises: [conflicts]\nsteps:\n"
GOOD = "inject: 'true', heal: 'true', in_force: 'false'"


def _file(given: str) -> str:
    return f"{HEAD}  - {{fault: command, with: {{{given}}}, on: n1, hold: 5s}}\n"


WRONG: dict[str, tuple[str, list[str]]] = {
    "nothing": ("", ["7:", "'inject' is missing; expected what breaks a target", "'heal' is missing", "'in_force' is missing"]),
    "empty ones": (
        "inject: '', heal: ' ', in_force: \"\"",
        ["s.yaml:7:37: ''; expected a command for a shell", "s.yaml:7:47: ' '; expected", "s.yaml:7:62: ''; expected"],
    ),
    "several at once": (
        "inject: 3, heal: [a], in_force: 'x', loses: disk, blinds: [dock], inject_within: 11m, in_force_within: 0s, secret: a-b, takes: ['']",
        [
            "s.yaml:7:37: 3; expected what breaks a target",
            "s.yaml:7:46: a list of 1; expected what mends it",
            "'disk'; expected one of nothing, process, node, link",
            "'dock'; expected one of docker, host, membership, placement; did you mean 'docker'?",
            "'11m'; expected how long it may take: a duration above 0, 10m at most",
            "'0s'; expected how long it may take: a duration above 0, 10s at most",
            "'a-b'; expected the name of a variable of the environment",
            "''; expected a list of names: daemons, or",
        ],
    ),
    "a slip": ("inject: a, heel: b, in_force: c", ["s.yaml:7:40: an unknown key 'heel'", "did you mean 'heal'?"]),
    "the names of Python": ("breaking: a, heal: b, in_force: c", ["an unknown key 'breaking'", "'inject' is missing"]),
    "too long": (f"inject: {'x' * 4097}, heal: b, in_force: c", ["belongs into a file on the nodes", "4096 characters at most"]),
    "a shell's own": (f"{GOOD}, secret: PATH", ["'PATH'; expected the name of a variable", "a shell has PATH for itself"]),
    "ours": (f"{GOOD}, secret: WHALEFALL_FAULT", ["a shell has WHALEFALL_FAULT for itself"]),
    "a daemon without its name": (f"{GOOD}, loses: process", ["found nothing that it takes, expected the daemons that are lost"]),
    "a daemon that nobody knows": (
        f"{GOOD}, loses: process, takes: [nginx]",
        ["the loss of the process 'nginx'; expected a daemon that the fleet mode stands on", "fleetd"],
    ),
    "a part of all": (f"{GOOD}, loses: node, takes: [docker]", ["takes is for a daemon, or a part of a node"]),
    "in place of nothing": (f"{GOOD}, in_place: true", ["in_place is for a node or a daemon that comes back"]),
}


@pytest.mark.parametrize("kind", WRONG)
def test_bad_commands_are_all_told_at_once_with_their_places(kind: str) -> None:
    """Before anything is made."""
    given, expected = WRONG[kind]
    with pytest.raises(BadInput) as caught:
        loads(_file(given), "s.yaml")
    told = [str(each) for each in caught.value.problems]
    missing = [each for each in expected if not any(each in line for line in told)]
    assert not missing, told
    assert all(line.startswith("s.yaml:7:") for line in told)


def test_a_file_says_it_and_a_plan_keeps_it() -> None:
    """By the names that the file has, in words and on disk."""
    text = _file(f"{GOOD}, inject_within: 90s, loses: process, takes: [dockerd], blinds: [docker], secret: TOKEN")
    made = plan(loads(text, "s.yaml"), mode=Fleet(), provider="nspawn", seed=1)
    (step,) = made.breaks
    assert parameters.read(step.fault)["inject"] == "true"
    again = Plan.from_json(made.to_json())
    assert again.breaks == made.breaks
    assert "command inject=true heal=true in_force=false inject_within=90s" in describe(made).replace("1m30s", "90s")


# ---------------------------------------------------------------- two faults of one name


def test_two_faults_of_one_name_that_lose_several_things_have_a_budget_each() -> None:
    """In whichever order they stand; no verdict goes by the other's."""
    kinds = [marking(), marking(loses="node"), marking(takes=("disk",)), marking(loses="link")]
    for order in (kinds, kinds[::-1]):
        steps = [Break(each, "n1", Hold(5.0)) for each in order]
        for mode in (Fleet(), Swarm()):
            made = plan(_scenario(), mode=mode, provider="nspawn", seed=1)
            found = briefing.budgets_for(steps, mode, made.observers)
            for fault in order:
                longest = max((mode.budget(fault.traits, who) for who in Who), key=lambda each: each.seconds)
                assert budget_among(found, "command", fault.traits) == longest


def _scenario() -> Any:
    return loads(_file(GOOD), "s.yaml")


def test_a_budget_of_an_older_plan_counts_where_it_says_no_more() -> None:
    """It has one for each name."""
    budget = Budget((Term("x", 1.0, "a test"),))
    assert budget_among({"node.kill": budget}, "node.kill", Traits(Loss.NODE), Who.FOLLOWER) is budget


# ---------------------------------------------------------------- the action beside it


def test_what_may_stand_in_a_command_is_said_once() -> None:
    """The action's and the fault's are the same."""
    for wrong in ("", "  ", "a\0b", "x" * 5000):
        assert users_command.no_command(wrong)
        with pytest.raises(ValueError, match="a command"):
            RunCommand(wrong)
        with pytest.raises(ValueError, match="expected a command"):
            parameters.must_fit(OwnFault(wrong, "true", "true"))
