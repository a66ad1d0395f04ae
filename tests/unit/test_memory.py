"""The doubles really misbehave when told to: a double that cannot fail tests nothing. That they behave otherwise is in tests/contract."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from harness.core.errors import CommandFailed, HarnessError, NoSuchRun, Unreachable
from harness.core.values import Latency, NodeSpec
from harness.nodes import users_command
from harness.testing import memory_shell
from harness.testing.memory_node import MemoryNode
from harness.testing.memory_provider import MemoryProvider, MemoryWorld

SPECS = [NodeSpec("n1", "10.77.0.11", faultable_disk=True), NodeSpec("n2", "10.77.0.12")]


def test_a_slow_node_gives_no_answer_from_the_deadline_on() -> None:
    """Faster than the deadline is an answer; at the deadline it is none."""
    node = MemoryNode("n1", "10.77.0.11", delay=2.0)
    assert node.run("true", timeout=2.1).ok
    with pytest.raises(Unreachable, match="after 2 s"):
        node.run("true", timeout=2.0)


def test_a_node_refuses_answers_rubbish_and_fails_the_nth_call() -> None:
    """Each kind of trouble is told apart, and every call is noted."""
    node = MemoryNode("n1", "10.77.0.11", refused={"echo": 126}, raises={3: OSError("third")})
    assert node.run("echo", "a").exit == 126
    node.rubbish = b"\xff"
    assert node.run("cat", stdin=b"good").out == b"\xff"
    with pytest.raises(OSError, match="third"):
        node.run("true")
    assert node.run("true").ok
    assert [call[0] for call in node.calls] == ["echo", "cat", "true", "true"]


def test_a_node_that_is_off_does_nothing(tmp_path: Path) -> None:
    """No command, no file in or out."""
    node = MemoryNode("n1", "10.77.0.11", on=False)
    with pytest.raises(Unreachable, match="off"):
        node.run("true")
    with pytest.raises(Unreachable):
        node.put(Path(__file__), PurePosixPath("/a"))
    with pytest.raises(Unreachable):
        node.get(PurePosixPath("/a"), tmp_path / "a")


def test_a_refused_file_is_a_failed_command() -> None:
    """The node's refusal is not silence."""
    with pytest.raises(CommandFailed, match="refused"):
        MemoryNode("n1", "10.77.0.11", refused={"put": 1}).put(Path(__file__), PurePosixPath("/a"))


def test_a_power_cut_forgets_what_lives_in_memory_and_keeps_the_disk() -> None:
    """Rules, processes and /run are gone; files elsewhere stay, and what slows the disk, which is the host's."""
    node = MemoryNode("n1", "10.77.0.11", processes=["sleep 9"], cuts={"a": frozenset({"x"})}, latency=Latency(1.0))
    node.files.update({"/run/a": (b"", 0o600), "/data/a": (b"", 0o600)})
    node.lose_power()
    assert (node.on, node.processes, node.cuts, node.latency, [*node.files]) == (False, [], {}, Latency(1.0), ["/data/a"])


def test_a_node_that_does_not_boot_takes_the_whole_creation_with_it() -> None:
    """Nothing of the run is left, and it can be created later."""
    provider = MemoryProvider(dead_on_arrival={"n2"})
    with pytest.raises(HarnessError, match="n2 did not boot"):
        provider.create("r1", SPECS)
    with pytest.raises(NoSuchRun):
        provider.adopt("r1")
    provider.dead_on_arrival.clear()
    assert [node.name for node in provider.create("r1", SPECS)] == ["n1", "n2"]


def test_a_run_is_not_created_twice() -> None:
    """Two clusters of one id would be healed and destroyed together."""
    store = MemoryWorld()
    MemoryProvider(store).create("r1", SPECS)
    with pytest.raises(HarnessError, match="created already"):
        MemoryProvider(store).create("r1", SPECS)


def test_a_stuck_capability_says_so_on_the_node_that_was_asked() -> None:
    """Any method can be made to fail."""
    provider = MemoryProvider(stuck={"mend"})
    node = provider.create("r1", SPECS)[0]
    with pytest.raises(HarnessError, match="n1: mend is stuck"):
        provider.mend(node)


def test_only_a_disk_that_was_planned_for_it_can_be_slowed() -> None:
    """The other is told why not."""
    provider = MemoryProvider()
    one, other = provider.create("r1", SPECS)
    assert provider.why_not(one, Latency(1.0)) is None
    why = provider.why_not(other, Latency(1.0))
    assert why is not None
    assert "n2" in why.reason


def test_a_shell_in_memory_changes_nothing_of_this_machine(tmp_path: Path) -> None:
    """What a script notes below /run is the node's own, and is gone with it; nothing else can be removed. So nobody needs to be root either."""
    node, other = MemoryNode("n1", "10.77.0.11"), tmp_path / "other"
    node.programs["sh"] = memory_shell.shell(node, tmp_path / "n1")
    other.touch()
    found = users_command.ran(node, f"rm -f {other}; echo $$", 5.0, fault="a-fault", purpose=users_command.Purpose.BREAKS)
    assert found[0] == 0
    assert other.exists()
    assert not Path("/run/whalefall-breaks-a-fault").exists()
    assert node.run("sh", "-c", 'echo noted >"$1"; cat "$1"', "sh", "/run/a-note").text == "noted\n"
    assert [each.name for each in (tmp_path / "n1" / "run").iterdir()] == ["a-note"]
    assert not Path("/run/a-note").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="who is not root may change what is their own")
@pytest.mark.parametrize(
    "how", ['echo no >"$1"', 'sed -i s/yes/no/ "$1"', 'kill -9 "$2"', '/bin/rm "$1"', 'PATH=/usr/bin:/bin; echo no | tee "$1"']
)
def test_a_shell_in_memory_has_no_rights_on_this_machine(tmp_path: Path, how: str) -> None:
    """A shell redirects, signals, and calls programs by their paths, whatever is in its PATH: a new fault is tried here by that it is there."""
    node, ours = MemoryNode("n1", "10.77.0.11"), tmp_path / "ours"
    node.programs["sh"] = memory_shell.shell(node, tmp_path / "n1")
    ours.write_text("yes")
    with subprocess.Popen(("sleep", "60")) as process:
        done = node.run("sh", "-c", how, "sh", str(ours), str(process.pid))
        process.terminate()
    assert not done.ok
    assert (ours.read_text(), process.returncode) == ("yes", -signal.SIGTERM)


def test_a_script_that_lacks_a_program_is_told_where_it_can_be_tried(tmp_path: Path) -> None:
    """Not that the machine has none."""
    node = MemoryNode("n1", "10.77.0.11")
    node.programs["sh"] = memory_shell.shell(node, tmp_path / "n1")
    assert memory_shell.LACKING in node.run("sh", "-c", "systemctl stop docker").err.decode()
