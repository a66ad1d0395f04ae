"""Whose silence it is: the harness's own heartbeat, each node's, and the pressure on the machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.core.clock import SystemClock, wait_until
from harness.core.protocols import Cluster
from harness.history.events import HARNESS, MACHINE, History, Pressure, Stalled
from harness.history.recorder import Recorder
from harness.modes.fleet import fleet_timers as fleet
from harness.modes.swarm import swarm_timers as swarm
from harness.observers import agent
from harness.observers.heartbeat import BEAT_SECONDS, Heartbeat
from harness.observers.pressure import Gauge
from harness.testing.fake_clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator


class Machine:
    """A machine whose clocks, and whose /proc, are set by the test."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.suspended = 0.0
        self.worked = 0.0
        self.proc = folder / "proc"
        (self.proc / "pressure").mkdir(parents=True)
        self.recorder = Recorder(folder / "history.jsonl", self.clock)
        self.stalled(0)

    def stalled(self, ready: int, *, stolen: int = 0, ticks: int = 0, io: float = 0.0) -> None:
        """Say how many processes want to run, and what was stolen and waited for until now; our own process is one more."""
        (self.proc / "loadavg").write_text(f"9.99 5.00 1.00 {ready + 1}/400 1234\n", encoding="ascii")
        (self.proc / "stat").write_text(f"cpu  {ticks} 0 0 0 0 0 0 {stolen} 0 0\ncpu0 1\n", encoding="ascii")
        told = f"some avg10=0.00 avg60=0.00 avg300=0.00 total={io * 1_000_000:.0f}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n"
        (self.proc / "pressure" / "io").write_text(told, encoding="ascii")

    def gauge(self) -> Gauge:
        """Return a gauge of this machine, which has two cores."""
        return Gauge(self.clock, self.proc, cores=2)

    def pass_time(self, seconds: float) -> None:
        """Let time go by once the heartbeat waits for it, and let it look."""
        self._until_it_waits()
        self.clock.advance(seconds)
        self._until_it_waits()

    def _until_it_waits(self) -> None:
        wait_until(
            lambda: (due := self.clock.next_due()) is not None and due > self.clock.now(),
            awaited="the heartbeat to wait for its next beat",
            seconds=10.0,
            clock=SystemClock(),
            every=0.001,
        )

    def told(self) -> list[Any]:
        """Everything that was recorded, but for what the recorder says of the file itself."""
        return [entry.event for entry in History.load(self.recorder.path).entries if isinstance(entry.event, Stalled | Pressure)]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine with a heartbeat on it."""
    machine = Machine(tmp_path)
    heart = Heartbeat(
        machine.clock, boot=lambda: machine.clock.now() + machine.suspended, work=lambda: machine.worked, gauge=machine.gauge()
    )
    nobody: Any = None
    with machine.recorder:
        heart.start(Cluster("run", [], nobody, nobody, machine.clock), machine.recorder)
        yield machine
        heart.stop()
        heart.stop()


def test_a_heartbeat_on_time_says_nothing(machine: Machine) -> None:
    """Nor one that is a little late, as on any machine with something to do."""
    for _ in range(5):
        machine.pass_time(BEAT_SECONDS)
    machine.pass_time(BEAT_SECONDS + 0.4)
    assert machine.told() == []


def test_a_stopped_harness_says_so_when_it_goes_on(machine: Machine) -> None:
    """15 s without a beat: from when, for how long, and that it was not its own work."""
    machine.pass_time(BEAT_SECONDS)
    machine.pass_time(BEAT_SECONDS + 15.0)
    assert machine.told() == [Stalled(HARNESS, 0.2, 15.0, "stopped, or no processor was free for it")]


def test_a_harness_that_is_busy_with_itself_says_that(machine: Machine) -> None:
    """Its own threads kept the interpreter for 3 s."""
    machine.worked = 2.9
    machine.pass_time(BEAT_SECONDS + 3.0)
    assert [event.why for event in machine.told()] == ["busy with itself"]


def test_a_suspended_machine_is_told_though_the_runs_clock_stood_still(machine: Machine) -> None:
    """An hour that only CLOCK_BOOTTIME saw."""
    machine.pass_time(0.0)
    machine.suspended = 3600.0
    machine.pass_time(BEAT_SECONDS)
    assert machine.told() == [Stalled(MACHINE, 0.1, 3600.0, "suspended")]


def test_a_machine_with_less_to_do_than_it_can_is_not_worth_a_word(machine: Machine) -> None:
    """Two processes on two cores."""
    machine.stalled(2)
    for _ in range(25):
        machine.pass_time(BEAT_SECONDS)
    assert machine.told() == []


def test_a_machine_with_more_to_do_than_it_can_is_told_each_second(machine: Machine) -> None:
    """Five processes on two cores."""
    machine.stalled(5)
    for _ in range(21):
        machine.pass_time(BEAT_SECONDS)
    told = machine.told()
    assert [(event.ready, event.cores, round(event.seconds)) for event in told] == [(5.0, 2, 1), (5.0, 2, 1)]


def test_stolen_time_and_waiting_for_disks_are_told(tmp_path: Path) -> None:
    """Though hardly anybody wants a core: a fifth was stolen, half of the second somebody waited for a disk."""
    machine = Machine(tmp_path)
    machine.stalled(1, ticks=100)
    gauge = machine.gauge()
    assert gauge.look() is None
    machine.clock.advance(1.0)
    machine.stalled(1, ticks=260, stolen=40, io=0.5)
    assert gauge.look() == Pressure(1.0, 2, 1.0, steal=0.2, io=0.5)
    machine.recorder.close()


@pytest.mark.parametrize(("waited", "told"), [(0.6, Pressure(1.0, 2, 2.0, cpu=0.6)), (0.2, None)])
def test_waiting_for_a_processor_alone_is_told(tmp_path: Path, waited: float, told: Pressure | None) -> None:
    """What comes and goes between two looks at who wants to run is in the kernel's own sum."""
    machine = Machine(tmp_path)
    machine.stalled(2)
    gauge = machine.gauge()
    machine.clock.advance(1.0)
    line = f"some avg10=0.00 avg60=0.00 avg300=0.00 total={waited * 1_000_000:.0f}\n"
    (machine.proc / "pressure" / "cpu").write_text(line, encoding="ascii")
    assert gauge.look() == told
    machine.recorder.close()


def test_a_kernel_that_tells_nothing_is_no_pressure(tmp_path: Path) -> None:
    """No /proc/pressure, and no /proc at all."""
    clock = FakeClock()
    gauge = Gauge(clock, tmp_path / "nothing", cores=2)
    clock.advance(1.0)
    assert gauge.look() is None


def test_a_node_tells_how_late_it_was() -> None:
    """Its agent's own heartbeat: on time, 0.4 s late, 3 s late, and on time again."""
    heart = agent.Heart(100.0)
    assert [heart.beat(now) for now in (100.25, 100.9, 104.15, 104.4)] == ["", "", '{"late":3.000}\n', ""]


def test_each_mode_says_what_its_timers_stand() -> None:
    """The shortest counts; swarm's election cannot be set, and a heartbeat missed twice is near the third."""
    fast = fleet.endurance(fleet.PROFILES["fast"])
    assert (fast.shortest.name, fast.shortest.seconds, [each.seconds for each in fast.timers]) == ("etcd_election_timeout", 1.0, [1.0, 5.0])
    assert (fast.recovery, fast.work) == (16.5, 3.0)
    slow = swarm.endurance(swarm.PROFILES["default"])
    assert [(each.name, each.seconds, each.value) for each in slow.timers] == [
        ("raft's election timeout", 10.0, 0.0),
        ("dispatcher_heartbeat", 9.0, 5.0),
    ]
    assert swarm.endurance(swarm.PROFILES["fast"]).shortest.seconds == 5.0
