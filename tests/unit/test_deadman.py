"""Dead-man timers: when they are set, renewed and stopped, what is said of it, and what the conductor and the reaper do with them.

That a real node mends itself is in tests/cluster.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from harness.conductor import Options, Session
from harness.core import stops
from harness.core.clock import SystemClock, wait_until
from harness.core.errors import FaultFailed, HarnessError, Unreachable
from harness.core.protocols import Cluster, Node
from harness.core.values import NodeSpec, Result, Stage, Traits, Unavailable
from harness.faults import FAULTS
from harness.faults.partition import REMEDY
from harness.history.events import FaultStage, History, Note
from harness.history.recorder import Recorder
from harness.modes import MODES
from harness.plan import Plan
from harness.providers import PROVIDERS
from harness.steps import Hold
from harness.testing.bare import BareMode
from harness.testing.fake_clock import FakeClock
from harness.testing.memory_node import MemoryNode, Program
from harness.testing.memory_provider import MemoryProvider, MemoryWorld
from harness.undo import deadman, reaper
from harness.undo.deadman import DeadMan, unit
from harness.undo.ledger import Ledger, unsettled

PATIENCE = 30.0
SPECS = tuple(NodeSpec(f"n{number}", f"10.77.0.{10 + number}") for number in (1, 2, 3))
RUN = "run-1"
STORE = MemoryWorld()


class Outlived(MemoryProvider):
    """Nodes in memory that outlive this machine."""

    name: ClassVar[str] = "outlived"

    def __init__(self) -> None:
        super().__init__(store=STORE)

    def patience(self) -> float:
        """Return the patience of these tests."""
        return PATIENCE

    def destroy(self, run_id: str) -> None:
        """Let go of the nodes; they live on."""


class TimedNode(MemoryNode):
    """A node in memory with as much of systemd as a timer needs. `timers` holds the names of those that wait."""

    def __init__(self, name: str, address: str, log: list[str]) -> None:
        super().__init__(name, address)
        self.timers: set[str] = set()
        self.said = b""  # when its timer is stopped
        self.log = log
        self.programs |= {"systemd-run": self._set, "systemctl": self._restart, "sh": self._stop}

    def _set(self, argv: tuple[str, ...], stdin: bytes) -> Result:
        name = next(each for each in argv if each.startswith("--unit=")).removeprefix("--unit=")
        self.timers.add(name)
        self.log.append(f"arm {self.name}")
        return Result(argv, 0, b"", b"")

    def _restart(self, argv: tuple[str, ...], stdin: bytes) -> Result:
        assert argv[1] == "restart"
        if argv[2].removesuffix(".timer") not in self.timers:
            return Result(argv, 5, b"", b"Unit not found.\n")
        self.log.append(f"renew {self.name}")
        return Result(argv, 0, b"", b"")

    def _stop(self, argv: tuple[str, ...], stdin: bytes) -> Result:
        assert argv[2] == deadman._STOP
        self.timers.discard(argv[-2])
        self.log.append(f"disarm {self.name}")
        return Result(argv, 0, self.said, b"")


@dataclasses.dataclass(frozen=True)
class Scripted:
    """A fault that a node can undo, and that does as the test says. What it breaks is a set of node names."""

    name: ClassVar[str] = "test.remedied"
    traits: ClassVar[Traits] = Traits()
    broken: ClassVar[set[str]] = set()
    log: ClassVar[list[str]] = []
    on_inject: ClassVar[Callable[[], None]] = staticmethod(lambda: None)
    on_heal: ClassVar[Callable[[], None]] = staticmethod(lambda: None)
    more: ClassVar[tuple[str, ...]] = ()  # nodes that are touched, beside the targets
    without: ClassVar[tuple[str, ...]] = ()  # nodes without a remedy

    def inject(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        """Do as told, then break the targets."""
        type(self).log.append("inject")
        type(self).on_inject()
        type(self).broken.update(node.name for node in targets)

    def heal(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        """Do as told, then mend."""
        type(self).log.append("heal")
        type(self).on_heal()
        type(self).broken.difference_update(node.name for node in targets)

    def in_force(self, cluster: Cluster, target: Node) -> bool:
        """Whether the target is broken."""
        return target.name in type(self).broken

    def available(self, cluster: Cluster, target: Node) -> Unavailable | None:
        """Return None."""
        return None

    def remedy(self, cluster: Cluster, target: Node) -> Sequence[str]:
        """Return a command, or none for those without."""
        return () if target.name in type(self).without else ("mend", target.name)

    def touched(self, cluster: Cluster, targets: Sequence[Node]) -> Sequence[Node]:
        """Return the targets and those that the test adds."""
        return [node for node in cluster.nodes if node.name in {*(each.name for each in targets), *type(self).more}]


def _until(condition: Callable[[], bool], awaited: str) -> None:
    """Let other threads run until something is so."""
    wait_until(condition, awaited=awaited, seconds=30.0, clock=SystemClock(), every=0.001)


@dataclasses.dataclass
class World:
    """A cluster of three whose nodes have timers, a fault of this test's own, and what was done and said, in order."""

    cluster: Cluster
    clock: FakeClock
    nodes: list[TimedNode]
    fault: type[Scripted]
    log: list[str]
    said: list[str]

    def dead_man(self) -> DeadMan:
        """Return the timers' holder."""
        return DeadMan(self.cluster, PATIENCE, self.said.append)

    def armed(self, number: int = 1) -> DeadMan:
        """Return one with timers on n1 and n2, and its threads waiting."""
        dead_man = self.dead_man()
        dead_man.arm(number, self.fault(), self.nodes[:2])
        self.clock.await_waiters(2)
        return dead_man

    def timers(self) -> list[str]:
        """Return the names of the nodes on which a timer waits."""
        return [node.name for node in self.nodes if node.timers]

    def step(self, waiters: int) -> None:
        """Move time to when the next thread is due, and return when as many threads wait again."""
        due = self.clock.next_due()
        assert due is not None
        self.clock.advance(due - self.clock.now())
        _until(lambda: (self.clock.next_due() or float("inf")) > self.clock.now(), "every thread that is due to be woken")
        self.clock.await_waiters(waiters)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Lend a world. Time stands still until it is moved."""
    log: list[str] = []
    fault: type[Scripted] = dataclasses.dataclass(frozen=True)(type("Fresh", (Scripted,), {"broken": set(), "log": log}))
    nodes = [TimedNode(spec.name, spec.address, log) for spec in SPECS]
    STORE.runs[RUN] = {node.name: node for node in nodes}
    clock = FakeClock()
    monkeypatch.setitem(FAULTS, fault.name, fault)
    monkeypatch.setitem(PROVIDERS, Outlived.name, Outlived)
    yield World(Cluster(RUN, nodes, Outlived(), BareMode(), clock), clock, nodes, fault, log, [])
    STORE.runs.clear()


# -- the command


def test_no_letter_of_the_command_is_one_that_systemd_changes() -> None:
    """A dollar sign or a backtick is read back wrongly after a daemon-reload, a percent sign is a specifier, a line break ends a unit's line."""
    argv = deadman.command("whalefall-deadman-x-1", 30.0, ("/bin/sh", "-c", 'echo "$1" `date` %n\n\\', "it's", "$HOME"))
    assert not [each for each in argv if set(each) & set("$`%\n\\\"'")]
    assert "--on-active=30.000s" in argv
    assert "--collect" in argv


@pytest.mark.parametrize("status", [0, 7])
def test_the_remedy_is_run_word_for_word_and_then_its_timer_is_stopped(tmp_path: Path, status: int) -> None:
    """A real shell runs what the timer would; every argument arrives as it was, and the exit status is the remedy's."""
    fake = tmp_path / "systemctl"
    fake.write_text('#!/bin/sh\necho "systemctl $*"\n')
    fake.chmod(0o755)
    script = 'printf "<%s>" "$@"; cat; exit "$0"'
    words = ["a b", "$HOME", "it's", "`date`", "two\nlines", "\\", ""]
    argv = deadman.command("whalefall-deadman-x-1", 30.0, ("/bin/sh", "-c", script, str(status), *words))
    done = subprocess.run(
        argv[argv.index("/bin/sh") :], capture_output=True, text=True, check=False, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    )
    assert done.stdout == "".join(f"<{each}>" for each in words) + "systemctl stop --no-block whalefall-deadman-x-1.timer\n"
    assert done.returncode == status


def test_a_torn_command_does_nothing(tmp_path: Path) -> None:
    """Half a remedy is not begun."""
    code = deadman.command("x", 30.0, ("touch", str(tmp_path / "begun"), "and", "more"))[-1].split()[1]
    half = base64.b64decode(code)[:-30]
    assert b"begun" in half
    assert subprocess.run(["/bin/sh"], input=half, capture_output=True, check=False).returncode != 0
    assert not (tmp_path / "begun").exists()


@pytest.mark.parametrize(
    ("state", "good"),
    [
        ("LoadState=not-found ActiveState=inactive SubState=dead", True),
        ("LoadState=loaded ActiveState=inactive SubState=dead", True),
        ("LoadState=loaded ActiveState=failed SubState=failed", True),
        ("LoadState=loaded ActiveState=active SubState=running", False),
        ("LoadState=loaded ActiveState=activating SubState=auto-restart", False),
        ("LoadState=loaded ActiveState=inactive SubState=dead Job=7", False),
        ("", False),
    ],
)
def test_stopping_is_done_only_when_systemd_says_that_nothing_is_at_work(tmp_path: Path, state: str, good: bool) -> None:
    """What still runs, or is about to, and what gave no answer, is not over."""
    fake = tmp_path / "systemctl"
    fake.write_text(f"#!/bin/sh\n[ \"$1\" = show ] || exit 5\nprintf '%s\\n' {state}\necho\n")
    fake.chmod(0o755)
    (tmp_path / "sleep").write_text("#!/bin/sh\n")
    (tmp_path / "sleep").chmod(0o755)
    argv = ["/bin/sh", "-c", deadman._STOP, "whalefall", "x", "20"]
    done = subprocess.run(argv, capture_output=True, check=False, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert (done.returncode == 0) == good
    fake.write_text("#!/bin/sh\nexit 1\n")
    assert subprocess.run(argv, capture_output=True, check=False, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}).returncode != 0


def test_a_partitions_remedy_takes_our_own_tables_and_nobody_elses(tmp_path: Path) -> None:
    """Tables of the same kind go, those whose names only begin alike stay, and one that has gone in the meantime is no error."""
    tables = ["whalefall_k1", "whalefall_k1_aa", "whalefall_k1_bb", "whalefall_k1x", "whalefall_k2_aa", "whalefall_silence", "filter"]
    fake = tmp_path / "nft"
    listed = "\n".join(f"table inet {each}" for each in tables)
    fake.write_text(f'#!/bin/sh\nif [ "$1" = list ]; then echo \'{listed}\'; else echo "$1"; fi\n')
    fake.chmod(0o755)
    argv = ("/bin/sh", "-c", REMEDY, "whalefall", "whalefall_k1")
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    told = subprocess.run(argv, capture_output=True, text=True, check=True, env=env).stdout.splitlines()
    assert told == [f"add table inet {each}; delete table inet {each}" for each in tables[:3]]
    fake.write_text("#!/bin/sh\nexit 1\n")
    assert subprocess.run(argv, capture_output=True, check=False, env=env).returncode != 0, "could not ask is no success"


def test_a_timers_name_stands_for_run_and_fault() -> None:
    """Any process finds it; other runs and other faults have others, and it is a name that systemd takes."""
    assert unit("run-1", 1) == unit("run-1", 1)
    assert len({unit("run-1", 1), unit("run-1", 2), unit("run 2", 1)}) == 3
    assert unit("run 2", 1).replace("-", "").isalnum()


def test_no_patience_is_refused(world: World) -> None:
    """A timer that has run out before anything is broken guards nothing."""
    with pytest.raises(HarnessError, match="is none"):
        DeadMan(world.cluster, 0.0, world.said.append)


# -- arm


def test_every_touched_node_with_a_remedy_gets_a_timer(world: World) -> None:
    """Also those that are no targets; not those that are off."""
    world.fault.more = ("n3",)
    dead_man = world.dead_man()
    assert dead_man.arm(1, world.fault(), world.nodes[1:2]) == ("n2", "n3")
    assert world.timers() == ["n2", "n3"]
    assert world.said == ["fault 1: dead-man timers are set on n2, n3 (30 s)"]
    dead_man.let_go(1)
    world.nodes[1].lose_power()
    assert dead_man.arm(2, world.fault(), world.nodes[1:2]) == ("n3",)
    dead_man.let_go(2)


def test_a_fault_without_a_remedy_for_a_node_that_it_touches_is_refused(world: World) -> None:
    """It is never left there without a timer: nobody is armed, and nothing may be broken."""
    world.fault.without = ("n2",)
    with pytest.raises(HarnessError, match="leaves something on n2 and says of no remedy there"):
        world.dead_man().arm(1, world.fault(), world.nodes[:2])
    assert (world.timers(), world.said, world.log) == ([], [], [])


def test_a_timer_that_cannot_be_set_is_an_error_and_the_others_are_stopped(world: World) -> None:
    """The error names the node; nothing is renewed, and nobody will mend what was never broken."""
    world.nodes[1].refused["systemd-run"] = 1
    dead_man = world.dead_man()
    with pytest.raises(FaultFailed, match=r"(?s)setting the dead-man timers of fault 1 failed on 1 of 2 nodes.*n2"):
        dead_man.arm(1, world.fault(), world.nodes[:2])
    assert world.timers() == []
    assert sorted(world.log) == ["arm n1", "disarm n1", "disarm n2"]
    assert world.clock.next_due() is None


def test_a_node_that_cannot_be_asked_is_not_armed_and_the_others_are_stopped(world: World) -> None:
    """That its timer could not be stopped either is told: it may be there."""
    world.nodes[1].delay = 60.0
    with pytest.raises(FaultFailed, match="n2"):
        world.dead_man().arm(1, world.fault(), world.nodes[:2])
    assert world.timers() == []
    assert len(world.said) == 1
    assert "find nothing to mend" in world.said[0]


def test_arming_that_took_most_of_the_patience_is_an_error(world: World) -> None:
    """The first timer could run out before the fault is injected."""
    own = world.nodes[0].programs["systemd-run"]

    def slow(argv: tuple[str, ...], stdin: bytes) -> Result:
        world.clock.advance(PATIENCE / 2 + 1)
        return own(argv, stdin)

    world.nodes[0].programs["systemd-run"] = slow
    with pytest.raises(FaultFailed, match="more patience"):
        world.dead_man().arm(1, world.fault(), world.nodes[:2])
    assert world.timers() == []


def test_an_interrupt_while_arming_stops_what_was_set(world: World) -> None:
    """Ctrl-C is no reason to leave a timer."""
    world.nodes[1].raises[1] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        world.dead_man().arm(1, world.fault(), world.nodes[:2])
    assert world.timers() == []


# -- renew


def test_timers_are_renewed_three_times_in_a_patience(world: World) -> None:
    """Every node, one command each time, and nothing is said of it."""
    dead_man = world.armed()
    world.log.clear()
    while world.clock.now() < 2 * PATIENCE:
        world.step(2)
    dead_man.let_go(1)
    assert sorted(world.log) == ["renew n1"] * 6 + ["renew n2"] * 6
    assert len(world.said) == 2


def test_a_renewal_that_failed_for_a_while_is_told_with_its_length_when_it_works_again(world: World) -> None:
    """Could not ask is a gap in the run's record, told once; the other node's timer is renewed all the while."""
    dead_man = world.armed()
    world.nodes[0].delay = 60.0
    world.said.clear()
    while world.clock.now() < 20.0:
        world.step(2)
    world.nodes[0].delay = 0.0
    while not world.said:
        world.step(2)
    dead_man.let_go(1)
    assert len(world.said) == 2
    assert world.said[0].startswith("fault 1: the dead-man timer of n1 was not renewed for 2")
    assert "no end of it" in world.said[0]
    assert world.log.count("renew n2") >= 2


def test_a_node_that_was_not_told_for_its_patience_has_probably_mended_itself(world: World) -> None:
    """It is told once when that time has come; and it is lost, whether or not it can be asked again."""
    dead_man = world.armed()
    world.nodes[0].delay = 60.0
    world.said.clear()
    while world.clock.now() < 2 * PATIENCE:
        world.step(2)
    assert len(world.said) == 1
    assert "n1 could not be told for 30" in world.said[0]
    lost = dead_man.lost(1)
    assert len(lost) == 1
    assert "probably mended itself" in lost[0]
    world.nodes[0].delay = 0.0
    world.nodes[0].timers.clear()
    assert "it has mended itself" in dead_man.lost(1)[0]
    dead_man.let_go(1)
    assert len(world.said) == 3


@pytest.mark.parametrize("why", [stops.CutOff("the fault is being healed"), stops.Stopped("the run was stopped")])
def test_a_look_that_nobody_waits_for_any_more_says_nothing_of_a_timer(world: World, why: HarnessError) -> None:
    """It was cut off, and its own thread goes on renewing: there is no trouble to tell of."""
    dead_man = world.armed()
    world.said.clear()
    with stops.listening(lambda: why), contextlib.suppress(stops.CutOff, stops.Stopped):
        dead_man.lost(1)
    dead_man.let_go(1)
    assert world.said == ["fault 1: its dead-man timers are no longer renewed; nodes mend themselves within 30 s"]


def test_a_timer_that_is_gone_is_told_once(world: World) -> None:
    """One that is gone before its time did not run out: the node was restarted, or somebody meddled. Nobody asks it any more."""
    dead_man = world.armed()
    world.said.clear()
    world.nodes[0].timers.clear()
    world.step(1)
    _until(lambda: bool(world.said), "a word of it")
    assert world.said == [
        "fault 1: n1 has no dead-man timer any more, 10.0 s after it was last renewed: it was restarted, or somebody stopped the timer"
    ]
    assert len(dead_man.lost(1)) == 1
    assert len(world.said) == 1
    dead_man.let_go(1)


def test_nothing_is_lost_while_all_are_renewed(world: World) -> None:
    """Nor of a fault without timers; nor of a node that could not be asked just now."""
    dead_man = world.armed()
    assert dead_man.lost(1) == []
    assert dead_man.lost(2) == []
    world.nodes[0].delay = 60.0
    assert dead_man.lost(1) == []
    dead_man.let_go(1)


def test_an_answer_that_is_none_is_not_a_renewal(world: World) -> None:
    """Any status but success and not-found says nothing of the timer."""
    dead_man = world.armed()
    world.nodes[0].refused["systemctl"] = 1
    assert dead_man.lost(1) == []
    dead_man.let_go(1)
    assert "the dead-man timer of n1 was not renewed for 0.00 s" in world.said[1]
    assert "status 1: systemctl: refused" in world.said[1]


# -- disarm


def test_disarm_stops_the_threads_and_then_the_timers(world: World) -> None:
    """No renewal comes after it. Twice is fine, and so is a fault that was never armed."""
    dead_man = world.armed()
    dead_man.disarm(1, world.fault(), world.nodes[:2])
    assert world.timers() == []
    assert world.clock.next_due() is None
    dead_man.disarm(1, world.fault(), world.nodes[:2])
    dead_man.disarm(2, world.fault(), world.nodes[:2])
    assert len(world.said) == 1


def test_a_timer_that_cannot_be_stopped_is_waited_for(world: World) -> None:
    """It runs out by itself; until then it could undo another fault."""
    world.cluster = dataclasses.replace(world.cluster, clock=FakeClock(moves_itself=True))
    world.nodes[0].delay = 60.0
    world.dead_man().disarm(1, world.fault(), world.nodes[:2])
    assert world.cluster.clock.now() == PATIENCE + deadman.SLACK
    assert "waited 35 s" in world.said[0]
    assert "n1" in world.said[0]


def test_who_was_at_work_when_a_timer_was_stopped_is_told(world: World) -> None:
    """What was asked of it before may be so no more."""
    world.nodes[0].said = b"at work\n"
    assert world.dead_man().disarm(1, world.fault(), world.nodes[:2]) == ["n1"]
    world.nodes[0].said = b""
    assert world.dead_man().disarm(1, world.fault(), world.nodes[:2]) == []


def test_a_node_that_is_off_needs_no_disarming(world: World) -> None:
    """Its timer went with its memory."""
    world.nodes[0].lose_power()
    world.dead_man().disarm(1, world.fault(), world.nodes[:2])
    assert world.log == ["disarm n2"]


# -- the conductor


@pytest.fixture
def session(world: World, tmp_path: Path) -> Iterator[Session]:
    """Lend a session over these nodes."""
    plan = Plan("t", "why", "t.yaml", "bare", Outlived.name, 7, "default", {}, SPECS, (), (), (), 1.0, (), (), None)
    with Recorder(tmp_path / "history.jsonl", world.clock) as recorder:
        ledger = Ledger(tmp_path / "ledger.jsonl", RUN, Outlived.name, "bare", world.clock)
        yield Session(plan, Options(tmp_path, clock=FakeClock(moves_itself=True)), world.cluster, recorder, ledger, tmp_path)


def _stages(session: Session) -> dict[Stage, str]:
    return {event.stage: event.detail for _, event in History.load(session.recorder.path).each(FaultStage)}


def _open(session: Session) -> list[int]:
    return [line.number for line in unsettled(session.folder / "ledger.jsonl")]


def test_a_fault_is_armed_before_it_is_injected_and_disarmed_after_it_was_healed(world: World, session: Session) -> None:
    """All within the ledger's two lines."""
    opened: list[list[int]] = []

    def looking(own: Program) -> Program:
        def program(argv: tuple[str, ...], stdin: bytes) -> Result:
            opened.append(_open(session))
            return own(argv, stdin)

        return program

    for program in ("systemd-run", "sh"):
        world.nodes[0].programs[program] = looking(world.nodes[0].programs[program])
    session.break_(world.fault(), "n1", Hold(0.1))
    assert world.log == ["arm n1", "inject", "renew n1", "heal", "disarm n1"]
    assert opened == [[1], [1]]
    assert _open(session) == []
    assert Stage.FAILED not in _stages(session)


def test_a_fault_whose_timers_cannot_be_set_is_not_injected(world: World, session: Session) -> None:
    """It failed, which the assumptions checker reads; the run goes on."""
    world.fault.more = ("n3",)
    world.nodes[2].refused["systemd-run"] = 1
    session.break_(world.fault(), "n1", Hold(0.1))
    assert "inject" not in world.log
    assert "setting the dead-man timers" in _stages(session)[Stage.FAILED]
    assert world.timers() == []
    assert _open(session) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupt_between_arm_and_inject_leaves_no_timer(world: World, session: Session, error: type[BaseException]) -> None:
    """It goes on up, but not before heal and disarm."""

    def fail() -> None:
        raise error

    world.fault.on_inject = staticmethod(fail)
    with pytest.raises(error):
        session.break_(world.fault(), "n1", Hold(0.1))
    assert world.log == ["arm n1", "inject", "heal", "disarm n1"]
    assert world.timers() == []
    assert world.clock.next_due() is None
    assert _open(session) == []


def test_an_interrupt_within_arm_leaves_no_timer(world: World, session: Session) -> None:
    """Nothing was injected, and what was set is stopped."""
    world.fault.more = ("n2", "n3")
    world.nodes[1].raises[1] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        session.break_(world.fault(), "n1", Hold(0.1))
    assert "inject" not in world.log
    assert world.timers() == []
    assert _open(session) == []


@pytest.mark.parametrize("error", [HarnessError, KeyboardInterrupt])
def test_timers_stay_when_the_heal_failed(world: World, session: Session, error: type[BaseException]) -> None:
    """They are the last resort: nobody renews them any more, and the ledger's line is open for the reaper."""

    def fail() -> None:
        raise error("n1 said no")

    world.fault.on_heal = staticmethod(fail)
    with pytest.raises((FaultFailed, error)):
        session.break_(world.fault(), "n1", Hold(0.1))
    assert world.timers() == ["n1"]
    assert world.clock.next_due() is None
    assert _open(session) == [1]
    notes = [event.text for _, event in History.load(session.recorder.path).each(Note)]
    assert notes[-1] == "fault 1: its dead-man timers are no longer renewed; nodes mend themselves within 30 s"


def test_a_fault_that_a_node_undid_was_not_held(world: World, session: Session) -> None:
    """Also where it is still in force on its target: the other end of a cut counts, too."""
    world.fault.more = ("n2",)
    world.fault.on_inject = staticmethod(world.nodes[1].timers.clear)
    session.break_(world.fault(), "n1", Hold(0.1))
    assert "n2 has no dead-man timer any more" in _stages(session)[Stage.FAILED]
    assert Stage.HEALED in _stages(session)


@pytest.mark.parametrize("again", [(), ("n1",), ("n1", "n2")])
def test_what_a_nodes_own_remedy_left_in_force_is_mended_once_more(world: World, session: Session, again: tuple[str, ...]) -> None:
    """On however many of its targets: one that is whole does not speak for the other. Where all are whole, nothing is done twice."""

    def remedy(argv: tuple[str, ...], stdin: bytes) -> Result:
        world.fault.broken.update(again)
        return Result(argv, 0, b"at work\n", b"")

    world.nodes[0].programs["sh"] = remedy
    session.break_(world.fault(), "!n3", Hold(0.1))
    assert world.fault.broken == set()
    assert world.log.count("heal") == (2 if again else 1)
    notes = [event.text for _, event in History.load(session.recorder.path).each(Note)]
    assert any("mended once more" in note for note in notes) is bool(again)
    assert _open(session) == []


@pytest.mark.parametrize("silent", [False, True])
def test_a_fault_that_cannot_be_asked_at_its_end_is_not_known_to_be_held(
    world: World, session: Session, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    """It is no longer certain that it was in force; one that answers was."""
    asked: list[str] = []

    def in_force(self: Scripted, cluster: Cluster, target: Node) -> bool:
        asked.append(target.name)
        if silent and len(asked) == 2:
            raise HarnessError("n1 gave no answer")
        return target.name in world.fault.broken

    monkeypatch.setattr(world.fault, "in_force", in_force)
    session.break_(world.fault(), "n1", Hold(0.1))
    assert ("n1 gave no answer" in _stages(session).get(Stage.FAILED, "")) is silent
    assert Stage.HEALED in _stages(session)


def test_nodes_that_end_with_this_machine_get_no_timers(world: World, tmp_path: Path) -> None:
    """Nobody is left there to mend."""
    plan = Plan("t", "why", "t.yaml", "bare", "memory", 7, "default", {}, SPECS, (), (), (), 1.0, (), (), None)
    passing = dataclasses.replace(world.cluster, provider=MemoryProvider(STORE))
    with Recorder(tmp_path / "history.jsonl", world.clock) as recorder:
        ledger = Ledger(tmp_path / "ledger.jsonl", RUN, "memory", "bare", world.clock)
        own = FakeClock(moves_itself=True)
        Session(plan, Options(tmp_path, clock=own), passing, recorder, ledger, tmp_path).break_(world.fault(), "n1", Hold(0.1))
    assert world.log == ["inject", "heal"]


# -- another process


class Bare(BareMode):
    """The bare mode, made as a registered one is."""

    @classmethod
    def from_timers(cls, profile: str, overrides: Mapping[str, float]) -> Bare:
        """Return it: it has no timers."""
        return cls()


def _orphaned(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Break n1 as a harness does that then dies, and return its ledger."""
    monkeypatch.setitem(MODES, "bare", Bare)
    path = folder / "ledger.jsonl"
    Ledger(path, RUN, Outlived.name, "bare", world.clock).open(1, world.fault(), ("n1",))
    body = json.loads(path.read_bytes())
    path.write_bytes(json.dumps({**body, "conductor": [os.getpid(), 1]}).encode() + b"\n")
    dead_man = world.dead_man()
    dead_man.arm(1, world.fault(), world.nodes[:1])
    world.fault().inject(world.cluster, world.nodes[:1])
    dead_man.let_go(1)
    world.log.clear()
    return path


def test_the_reaper_heals_and_then_stops_the_timers(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds them by run and number, on whatever node."""
    path = _orphaned(world, tmp_path, monkeypatch)
    said = reaper.undo(RUN, path, Outlived.name, keep=True)
    assert said == ["run-1: test.remedied on n1 was healed"]
    assert world.log[0] == "heal"
    assert sorted(world.log[1:]) == ["disarm n1", "disarm n2", "disarm n3"]
    assert unsettled(path) == []


def test_a_heal_that_fails_leaves_the_timers_alone(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node mends itself then."""
    path = _orphaned(world, tmp_path, monkeypatch)

    def fail() -> None:
        raise Unreachable("n1", "heal", "silence")

    world.fault.on_heal = staticmethod(fail)
    said = reaper.undo(RUN, path, Outlived.name, keep=True)
    assert "could NOT be healed" in said[0]
    assert world.timers() == ["n1"]


def test_timers_that_the_reaper_cannot_stop_are_told_and_the_fault_is_healed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They find nothing to mend."""
    path = _orphaned(world, tmp_path, monkeypatch)
    world.nodes[2].delay = 60.0
    said = reaper.undo(RUN, path, Outlived.name, keep=True)
    assert said[0] == "run-1: test.remedied on n1 was healed"
    assert "they run out by themselves within 35 s" in said[1]
    assert unsettled(path) == []
