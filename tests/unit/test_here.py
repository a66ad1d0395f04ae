"""What a scenario has run on this machine: where and as what it runs, who ends it, who mends it, and who may have it run at all."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from harness.actions.own_command import RunCommand
from harness.conductor import Session, permission
from harness.conductor.rehearsal import rehearse
from harness.core.clock import SystemClock, wait_until
from harness.core.errors import BadInput, FaultFailed, HarnessError, NoSuchRun, Unsupported
from harness.core.protocols import Action, Fault
from harness.core.values import HERE, Call, NodeSpec, Outcome, Stage, Unavailable
from harness.faults import common
from harness.faults.own_fault import OwnFault
from harness.faults.power import NodeKill
from harness.history.events import Acted, FaultStage, History
from harness.host import marks, state
from harness.host.processes import Process
from harness.modes import MODES
from harness.modes.fleet import Fleet
from harness.nodes import this_machine
from harness.nodes.this_machine import LocalMachine
from harness.plan import plan
from harness.providers import PROVIDERS, clusters
from harness.reports.prose import describe
from harness.scenario import loads
from harness.steps import Break, Hold
from harness.testing.bare import BareMode
from harness.testing.memory_provider import MemoryProvider, MemoryWorld
from harness.undo import reaper
from harness.undo.ledger import Ledger, unsettled
from harness.workloads.probe import Probe
from tests.unit.sessions import in_memory

RUN = "run-1"
NAME = "TOKEN"


@pytest.fixture(autouse=True)
def _registered() -> None:
    """Have a run that this process made, so that what it does here can be proven to be of it."""
    mine = Process.of(os.getpid())
    assert mine is not None
    clusters.register(RUN, mine, "memory")


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """Lend a session over three nodes in memory, beside this machine, which is real."""
    with in_memory(tmp_path) as made:
        yield made


def marking(folder: Path, **more: Any) -> OwnFault:
    """Return a fault that leaves a file in a folder of this machine."""
    mark = folder / "mark"
    return dataclasses.replace(OwnFault(f"touch {mark}; echo broken", f"rm -f {mark}; echo mended", f"test -e {mark}"), **more)


# ---------------------------------------------------------------- where, and as what


WHO = """
import os, signal, subprocess, sys
from pathlib import Path
from harness.host import surroundings
from harness.nodes import namespaced
from harness.nodes.this_machine import LocalMachine
surroundings.keep_outside()
if sys.argv[1] == "reaper":
    surroundings.outlive_shortage()
    surroundings.stay(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(os.getpid(), number)
asks = ["sh", "-c", "grep -E 'SigIgn|SigBlk' /proc/self/status; cat /proc/self/oom_score_adj"]
sys.stdout.write(LocalMachine("run-1").run(*asks).text)
with open(os.devnull, "ab") as null:
    entered = ["/bin/sh", "-c", namespaced._ENTER, str(null.fileno()), "A", "B", *asks]
    sys.stdout.write(subprocess.run(entered, stdout=subprocess.PIPE, pass_fds=(null.fileno(),), text=True).stdout)
"""


def test_who_starts_a_command_is_not_handed_down_to_it() -> None:
    """A reaper stays when it is asked to end, and is killed last: what a user's command leaves running, here or on a node, is like anybody's."""
    said = []
    for who in ("harness", "reaper"):
        done = subprocess.run([sys.executable, "-c", WHO, who], capture_output=True, check=False, text=True, timeout=60)
        assert not done.stderr
        said.append(done.stdout)
    assert said[0] == said[1]
    assert said[0].count("SigIgn") == 2
    assert said[0].splitlines()[2].isdecimal()


def test_a_command_here_is_told_whom_it_is_about_and_nothing_else(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what this process has in its environment nor the word by which its run is proven."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("HOME", "/somewhere")
    said = this_machine.node_of(session.cluster, HERE).run("env").text
    told = dict(line.split("=", 1) for line in said.splitlines())
    assert told.pop("PWD") == "/"
    assert told == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "HOME": "/somewhere",
        "WHALEFALL_RUN": RUN,
        "WHALEFALL_NODES": "n1 n2 n3",
        "WHALEFALL_ADDRESSES": "10.77.0.11 10.77.0.12 10.77.0.13",
    }
    assert marks.proof(RUN), "else it would prove nothing that it is not there"


def test_a_command_here_is_started_in_the_clusters_network(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where that is one of its own; of a cluster that is gone there is none."""
    entered: list[str] = []

    class Inside:
        def __enter__(self) -> None:
            entered.append("in")

        def __exit__(self, *_: object) -> None:
            entered.append("out")

    monkeypatch.setattr(MemoryProvider, "network", lambda _, run_id: Inside() if run_id == RUN else None)
    assert this_machine.node_of(session.cluster, HERE).run("true").ok
    assert entered == ["in", "out"]
    gone = dataclasses.replace(session.cluster, nodes=())
    assert this_machine.node_of(gone, HERE).run("true").ok
    assert entered == ["in", "out"]
    with pytest.raises(HarnessError, match="no node is named 'n9'"):
        this_machine.node_of(session.cluster, "n9")


# ---------------------------------------------------------------- probes, actions, faults


def test_a_probe_here_says_yes_no_or_that_nobody_knows(session: Session) -> None:
    """As on a node."""
    for status, outcome in ((0, Outcome.OK), (1, Outcome.FAIL), (7, Outcome.UNKNOWN), (127, Outcome.UNKNOWN)):
        client = Probe("q", HERE, f"echo $WHALEFALL_NODES; exit {status}").connect(session.cluster)
        reply = client.invoke(Call("ask", "q"))
        assert (reply.outcome, reply.by) == (outcome, HERE)


def test_an_action_here_is_done_and_its_words_and_its_secret_are_as_on_a_node(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has one status: with another than 0 it may have been done in part."""
    monkeypatch.setenv(NAME, "hunter2")
    assert session.act(RunCommand('echo "$TOKEN for $WHALEFALL_NODES"', secret=NAME), HERE) is Outcome.OK
    assert session.act(RunCommand("echo no; exit 3"), HERE) is Outcome.UNKNOWN
    ended = [event for _, event in History.load(session.recorder.path).each(Acted) if event.outcome is not None]
    assert [event.targets for event in ended] == [(HERE,)] * 2
    assert ended[0].detail == "here: *** for n1 n2 n3"
    assert "exited with status 3: no" in ended[1].detail


def test_a_fault_here_has_the_life_of_any_other_and_loses_nobody(session: Session, tmp_path: Path) -> None:
    """No node touched, none lost, no timer anywhere: it is mended from here, by whoever lives."""
    session.break_(marking(tmp_path), HERE, Hold(5.0))
    every = [event for _, event in History.load(session.recorder.path).each(FaultStage)]
    assert [(event.stage, event.targets) for event in every] == [
        (stage, (HERE,)) for stage in (Stage.DECIDED, Stage.INJECTED, Stage.IN_FORCE, Stage.HEALING, Stage.HEALED)
    ]
    assert [event.detail for event in every if event.detail][1:] == ["here: broken", "here: mended"]
    assert not (tmp_path / "mark").exists()
    here = [this_machine.node_of(session.cluster, HERE)]
    fault = marking(tmp_path)
    assert common.remedies(fault, session.cluster, here) == {}
    assert common.lost(fault, session.cluster, here) == ()
    assert common.live(session.cluster, here) == here


def test_two_faults_here_cannot_have_the_same_part_of_it(session: Session, tmp_path: Path) -> None:
    """As of a node: the second is refused with both numbers."""
    (tmp_path / "b").mkdir()
    session.start(marking(tmp_path, takes=("nginx",)), HERE, "first")
    with pytest.raises(FaultFailed, match=r"fault 2 .* is not made: fault 1 \(command\) has nginx on here already"):
        session.break_(marking(tmp_path / "b", takes=("nginx",)), HERE, Hold(1.0))
    session.heal("first")


# ---------------------------------------------------------------- what a file may say


HEAD = "scenario: x\nwhy: y\napps: [{name: web, instances: 2}]\npromises: [conflicts]\n"
OWN = "with: {inject: touch /x, heal: rm -f /x, in_force: test -e /x"
WRONG = {
    "what is done to nodes alone": (
        "steps: [{fault: node.kill, on: here, hold: 9s}]",
        "s.yaml:5:32: the target 'here'; expected nodes: node.kill cannot be done to this machine; commands can be run on it (`command`)",
    ),
    "an action on nodes alone": (
        "steps: [{fault: none, on: n1, hold: 1s}, {do: service.stop, with: {service: etcd}, on: here}]",
        "s.yaml:5:88: the target 'here'; expected nodes: service.stop cannot be done to this machine",
    ),
    "beside a node": (
        f"steps: [{{fault: command, {OWN}}}, on: n1 & here, hold: 9s}}]",
        "here in the target 'n1 & here'; expected here alone; this machine is no node of the cluster",
    ),
    "all but here": (
        f"steps: [{{fault: command, {OWN}}}, on: '!here', hold: 9s}}]",
        "here in the target '!here'; expected here alone",
    ),
    "a loss that nobody has": (
        f"steps: [{{fault: command, {OWN}, loses: node}}, on: here, hold: 9s}}]",
        "the loss of a node, on this machine; expected nothing: this machine is no node",
    ),
    "the same part of it twice": (
        f"steps: [{{fault: command, {OWN}, takes: [nginx]}}, on: here, as: a}}, {{fault: command, {OWN}, takes: [nginx]}}, on: here, hold: 9s}}]",
        "fault 2 (command) where fault 1 (command in line 5) has nginx on here; expected a node that still has it",
    ),
    "a check of it": (
        "steps: [{fault: none, on: n1, hold: 1s}]\nchecks: [{service: docker, is_running: true, on: here}]",
        "s.yaml:6:50: the target 'here'; expected nodes: nothing is checked of this machine",
    ),
    "a port of it": (
        "steps: [{fault: none, on: n1, hold: 1s}]\nprobes: [{name: a, on: here, port: 80}]",
        "s.yaml:6:36: probe: found a port of this machine; expected the node whose port it is, or a command here that asks for it",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_cannot_be_here_is_told_with_its_place(kind: str) -> None:
    """Before anything is made, and once."""
    text, expected = WRONG[kind]
    with pytest.raises(BadInput) as caught:
        loads(HEAD + text, "s.yaml")
    told = [str(each) for each in caught.value.problems]
    assert len(told) == 1
    assert expected in told[0]


def test_a_scenario_in_python_is_told_the_same(session: Session, tmp_path: Path) -> None:
    """By the step that is asked for."""
    for wrong, saying in (
        (lambda: session.break_(NodeKill(), HERE, Hold(1.0)), "node.kill cannot be done to this machine"),
        (lambda: session.break_(marking(tmp_path, loses="node"), HERE, Hold(1.0)), "the loss of a node, on this machine"),
        (lambda: session.act(RunCommand("true"), "here & n1"), "here alone"),
    ):
        with pytest.raises(BadInput, match=saying):
            wrong()


GOOD = f"""probes: [{{name: a, on: here, command: 'true'}}]
steps:
  - {{fault: command, {OWN}}}, on: here, hold: 9s}}
  - {{do: command, with: {{run: 'true'}}, on: here}}
"""


def test_a_plan_says_what_is_run_here_and_as_whom() -> None:
    """And a rehearsal runs nothing of it; one of nodes alone does not speak of it."""
    mode = Fleet.from_timers("default", {})
    made = plan(loads(HEAD + GOOD, "s.yaml"), mode=mode, provider="nspawn", seed=1)
    said = describe(made)
    assert "on this machine, for 9 s, then mend it" in said
    assert "do command run=true disturbs=true on this machine" in said
    assert "  here      what runs on this machine has all the rights of whoever runs whalefall" in said
    assert rehearse(made).startswith(said)
    without = plan(loads(HEAD + "steps: [{fault: none, on: n1, hold: 1s}]", "s.yaml"), mode=mode, provider="nspawn", seed=1)
    assert "whoever runs whalefall" not in describe(without)


# ---------------------------------------------------------------- who may


class Refusing(MemoryProvider):
    """A provider with a node whose owner allows no command."""

    def refusal(self, run_id: str, node: str, what: Fault | Action) -> Unavailable | None:
        """Refuse it there."""
        return Unavailable(f"{node} of {run_id} allows no {what.name}", "it in the mark") if node == "n3" else None


def test_what_is_run_here_needs_the_leave_of_every_host(session: Session, tmp_path: Path) -> None:
    """It may reach each of them; and nothing is asked before that is known."""
    session.cluster.provider = Refusing()
    fault = marking(tmp_path, asking=f"touch {tmp_path}/asked; false")
    made = dataclasses.replace(session.plan, steps=(Break(fault, HERE, Hold(5.0)),))
    with pytest.raises(Unsupported, match="n3 of run-1 allows no command"):
        permission.must_be_possible(made, session.cluster)
    with pytest.raises(Unsupported, match="n3 of run-1 allows no command"):
        session.break_(fault, HERE, Hold(5.0))
    with pytest.raises(Unsupported, match="n3 of run-1 allows no command"):
        session.act(RunCommand("true", disturbs=False), HERE)
    probing = dataclasses.replace(session.plan, workloads=(Probe("a", HERE, "true"),))
    with pytest.raises(Unsupported, match="n3 of run-1 allows no command"):
        permission.must_be_possible(probing, session.cluster)
    assert not (tmp_path / "asked").exists()


def test_a_question_that_this_machine_cannot_be_asked_is_a_mistake_of_the_scenario(session: Session, tmp_path: Path) -> None:
    """Told before anything is made."""
    made = dataclasses.replace(session.plan, steps=(Break(marking(tmp_path, asking="no-such-program"), HERE, Hold(5.0)),))
    with pytest.raises(BadInput, match="in_force ended with status 127 on here"):
        permission.must_be_possible(made, session.cluster)


# ---------------------------------------------------------------- who ends it, and who mends it


class Passing(MemoryProvider):
    """A provider whose nodes end with their cluster."""

    name: ClassVar[str] = "passing"
    STORE: ClassVar[MemoryWorld] = MemoryWorld()

    def __init__(self) -> None:
        super().__init__(store=self.STORE)

    def runs(self) -> dict[str, bool]:
        """Return none."""
        return {}

    def leftovers(self, run_id: str) -> list[str]:
        """Return nothing."""
        return []

    def keep(self, run_id: str, *, over: bool = False) -> None:
        """Keep nothing."""

    def is_kept(self, run_id: str) -> bool:
        """Whether it is."""
        return False


class Bare(BareMode):
    """The bare mode, made as a registered one is."""

    @classmethod
    def from_timers(cls, profile: str, overrides: Any) -> Bare:
        """Return it."""
        return cls()


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the ledger of a run with nodes whose harness died with a fault in force on this machine, and another on a node."""
    monkeypatch.setitem(PROVIDERS, "passing", Passing)
    monkeypatch.setitem(MODES, "bare", Bare)
    provider = Passing()
    nodes = provider.create(RUN, (NodeSpec("n1", "10.77.0.11"), NodeSpec("n2", "10.77.0.12")))
    (tmp_path / RUN).mkdir()
    path = tmp_path / RUN / "ledger.jsonl"
    written = Ledger(path, RUN, "passing", "bare", SystemClock())
    written.open(1, marking(tmp_path), (HERE,))
    (tmp_path / "mark").touch()
    written.open(2, NodeKill(), ("n1",))
    provider.off(nodes[0])
    dead = [{**json.loads(line), "conductor": [os.getpid(), 1]} for line in path.read_bytes().splitlines()]
    path.write_bytes(b"".join(json.dumps(each).encode() + b"\n" for each in dead))
    yield path
    Passing.STORE.runs.clear()


def test_a_fault_here_is_mended_before_its_cluster_goes_and_does_not_go_with_it(broken: Path, tmp_path: Path) -> None:
    """By the reaper of nodes that end with their cluster: what is on this machine does not."""
    said = reaper.undo(RUN, broken, "passing", keep=False)
    assert said == [
        f"{RUN}: command on here was healed; it said: here: mended",
        f"{RUN}: the cluster was removed",
        f"{RUN}: node.kill on n1 went with it",
    ]
    assert not (tmp_path / "mark").exists()
    assert unsettled(broken) == []


def test_a_fault_here_that_cannot_be_mended_stays_open_when_its_cluster_is_gone(broken: Path, tmp_path: Path) -> None:
    """A later heal, with no cluster, mends it."""
    mark = tmp_path / "mark"
    mark.unlink()
    mark.mkdir()  # `rm -f` does not take that
    said = reaper.undo(RUN, broken, "passing", keep=False)
    assert f"{RUN}: command on here is STILL in force on here" in said[0]
    assert [line.number for line in unsettled(broken)] == [1]
    with pytest.raises(NoSuchRun):
        Passing().adopt(RUN)
    mark.rmdir()
    mark.touch()
    clusters.register(RUN, Process(os.getpid(), 1), "passing")  # its harness is dead
    assert reaper.heal(RUN, tmp_path) == [f"{RUN}: command on here was healed; it said: here: mended"]
    assert not mark.exists()


@pytest.mark.parametrize("how", ["another command", "no seal", "another run's", "no key any more"])
def test_nothing_is_run_here_by_a_ledger_that_no_run_of_this_machine_wrote(broken: Path, tmp_path: Path, how: str) -> None:
    """Results are handed around: one from elsewhere holds commands as well. What is to be done by hand is said."""
    first, *rest = broken.read_bytes().splitlines()
    line = json.loads(first)
    changes: dict[str, Callable[[], Any]] = {
        "another command": lambda: line["parameters"].update(heal=f"touch {tmp_path}/done; rm -f {tmp_path}/mark"),
        "no seal": lambda: line.pop("seal"),
        "another run's": lambda: line.update(seal=marks.proof("run-2", "fault on this machine")),
        "no key any more": (state.REGISTRY / marks.KEY).unlink,
    }
    changes[how]()
    broken.write_bytes(b"\n".join([json.dumps(line).encode(), *rest, b""]))
    said = reaper.undo(RUN, broken, "passing", keep=False)
    assert "could NOT be healed: nothing proves that a run of this machine wrote that" in said[0]
    assert "run what mends it by hand: " in said[0]
    assert (tmp_path / "mark").exists()
    assert not (tmp_path / "done").exists()
    assert [each.number for each in unsettled(broken)] == [1]


def test_no_fault_is_made_here_that_nobody_could_prove_to_be_ours(session: Session, tmp_path: Path) -> None:
    """Without a key no other process would mend it."""
    (state.REGISTRY / marks.KEY).unlink()
    with pytest.raises(HarnessError, match="its register has no key for the run"):
        session.break_(marking(tmp_path), HERE, Hold(1.0))
    assert not (tmp_path / "mark").exists()


_RUNS = """
import sys
from harness.host import marks, state
from pathlib import Path
state.REGISTRY, marks.VARIABLE = Path(sys.argv[1]), sys.argv[2]
from harness.nodes.this_machine import LocalMachine
LocalMachine("run-1").run("sh", "-c", "trap '' TERM HUP; echo $$ >$1; sleep 600.25 & sleep 600.25", "sh", sys.argv[3], timeout=600.0)
"""


def test_what_runs_here_is_ended_with_its_group_where_its_harness_was_killed(tmp_path: Path) -> None:
    """By SIGKILL, which it could hear nothing of. While the harness lives it goes on."""
    began = tmp_path / "pid"
    argv = [sys.executable, "-c", _RUNS, str(state.REGISTRY), marks.VARIABLE, str(began)]
    with subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}) as harness:
        try:
            wait_until(lambda: began.exists() and began.read_text().strip() != "", awaited="it", seconds=60.0, clock=SystemClock())
            number = os.getpgid(int(began.read_text()))
            # Who waits, the shell, and what that runs.
            wait_until(lambda: len(list(_group(number))) == 4, awaited="all of it", seconds=60.0, clock=SystemClock())
            group = list(_group(number))
            assert this_machine.reap(RUN) == 0
        finally:
            harness.send_signal(signal.SIGKILL)
    assert all(each.alive for each in group)
    assert reaper._reap_here(RUN) == [
        "what its harness had begun on this machine was ended (1 command); what those left behind in a session of its own may run on"
    ]
    for each in group:
        assert each.wait(10.0)
    assert this_machine.reap(RUN) == 0


def test_what_goes_on_here_ends_with_its_group_also_by_itself() -> None:
    """As it does where nobody hears it any more: by then nobody may be there who would end it."""
    stream = LocalMachine(RUN).stream("sh", "-c", "sleep 600.25 >/dev/null & echo $$; head -c 1000000 /dev/zero")
    lines = stream.lines()
    number = os.getpgid(int(next(lines)))
    assert len(list(_group(number))) >= 3
    stream._child.stdout.close()  # type: ignore[union-attr]
    wait_until(lambda: not list(_group(number)), awaited="its end", seconds=20.0, clock=SystemClock())
    stream.close()


def _group(number: int) -> Iterator[Process]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getpgid(int(entry.name)) == number and (found := Process.of(int(entry.name))) is not None:
                    yield found
            except ProcessLookupError:
                continue


def test_a_stream_here_is_asked_to_end_before_it_is_ended(tmp_path: Path) -> None:
    """It may say its last words; one that does not hear is ended all the same."""
    stream = LocalMachine(RUN).stream("sh", "-c", "trap 'echo the sum; exit 0' TERM; echo up; while :; do sleep 0.05; done")
    lines = stream.lines()
    assert next(lines) == b"up"
    stream.close()
    deaf = LocalMachine(RUN)
    this = deaf.stream("sh", "-c", "trap '' TERM; echo up; sleep 600.125")
    this._grace = 0.1
    assert next(this.lines()) == b"up"
    this.close()
